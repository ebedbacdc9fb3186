//! What is done to consecutive elements beside the update, while they are in the cache.

use super::Level;
use super::codec;
use super::condition::Conditioned;
use super::fold::{BLOCK, ChangeSums};
use super::stage::STAGE;
use super::sweep::Follow;
use super::tensor::Tensor;
use super::walk::{Streams, walk};
use crate::formula::Average;
use crate::store::Source;
use crate::{Formula, Lane};
use core::mem::take;

/// Consecutive elements of a group, block by block.
pub(super) struct Visit<'a, 'c> {
    pub(super) level: Level,
    pub(super) start: usize,
    pub(super) changes: Option<&'c mut ChangeSums>,
    pub(super) follow: Option<Follow>,
    /// Empty if nothing follows.
    pub(super) average: &'a mut [f32],
    /// The lower halves of parameters; empty if they are whole.
    pub(super) lower: &'a mut [u8],
}

impl<'a> Visit<'a, '_> {
    pub(super) const fn nothing_beside(&self) -> bool {
        self.changes.is_none() && self.follow.is_none()
    }

    /// Updates what is computed with as it is.
    pub(super) fn update<F: Formula<S>, const S: usize>(
        &mut self,
        formula: &F,
        mut conditioned: Option<&mut Conditioned>,
        mut tensor: Tensor<'_>,
        mut state: [&mut [f32]; S],
    ) {
        let condition = conditioned.as_ref().map(|conditioned| conditioned.condition);
        let longest = if condition.is_some() { Conditioned::PIECE } else { BLOCK };
        while tensor.len() > 0 {
            let len = longest.min(tensor.len());
            let (mut block, rest) = tensor.split_at(len);
            let state = state.each_mut().map(|slot| slot.split_off_mut(..len).unwrap_or_default());
            let (params, grads, _) = block.parts();
            let (params, grads) =
                (params.into_plain().unwrap_or_default(), grads.plain().unwrap_or_default());
            self.before(params);
            let grads = match &mut conditioned {
                Some(conditioned) => conditioned.gradients(self.level, params, grads),
                None => grads,
            };
            walk(self.level, formula, Streams { params: &mut *params, grads, state });
            if let Some(condition) = condition {
                condition.params(self.level, params, grads);
            }
            self.after(params);
            block.zero();
            tensor = rest;
        }
    }

    /// Passes over parameters that stay as they are.
    pub(super) fn leave(&mut self, mut tensor: Tensor<'_>) {
        let lower = self.lower_of(tensor.len());
        if self.follow.is_some() {
            each_decoded(self.level, tensor.params(), lower, |params| self.follow(params));
        }
        self.start += tensor.len();
        tensor.zero();
    }

    /// The lower halves of the next parameters.
    pub(super) fn lower_of(&mut self, len: usize) -> &'a mut [u8] {
        self.lower.split_off_mut(..2 * len).unwrap_or_default()
    }

    /// Remembers parameters, if that is asked for.
    pub(super) fn before(&mut self, params: &[f32]) {
        if let Some(changes) = &mut self.changes {
            changes.before(params);
        }
    }

    /// Looks at them as they are now.
    pub(super) fn after(&mut self, params: &[f32]) {
        if let Some(changes) = &mut self.changes {
            changes.after(self.level, self.start, params);
        }
        self.follow(params);
        self.start += params.len();
    }

    /// The average takes in the next parameters.
    fn follow(&mut self, params: &[f32]) {
        let Some(follow) = self.follow else { return };
        let (average, rest) = take(&mut self.average).split_at_mut(params.len());
        self.average = rest;
        let decay = match follow {
            Follow::Copying => return average.copy_from_slice(params),
            Follow::Moving(decay) => decay,
        };
        let streams: Streams<'_, 0> = Streams { params: average, grads: params, state: [] };
        walk(self.level, &Moving(Average::new(decay)), streams);
    }
}

/// An average in the place of a parameter, and the parameter in that of its gradient.
#[derive(Clone, Copy)]
struct Moving(Average);

impl Formula<0> for Moving {
    #[inline(always)]
    fn update<L: Lane>(&self, average: L, x: L, []: [L; 0]) -> (L, [L; 0]) {
        (self.0.update(average, x), [])
    }
}

/// Visits numbers as they are computed with, all at once or block by block. Their lower halves may be elsewhere.
pub(super) fn each_decoded(
    level: Level,
    mut source: Source<'_>,
    mut lower: &[u8],
    mut visit: impl FnMut(&[f32]),
) {
    if let Some(plain) = source.plain() {
        return visit(plain);
    }
    let mut scratch = [0.0; STAGE];
    while !source.is_empty() {
        let (block, rest) = source.split_at(STAGE.min(source.len()));
        let numbers = &mut scratch[..block.len()];
        let lower = lower.split_off(..2 * block.len()).unwrap_or_default();
        codec::decode(level, block, lower, numbers);
        visit(numbers);
        source = rest;
    }
}
