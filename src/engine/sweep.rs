//! Every element's formula in one pass over memory.

use super::fold::{BLOCK, ChangeSums, join};
use super::share::share;
use super::stage::{self, STAGE, Stored};
use super::tensor::{Grads, Tensor};
use super::tree::{Part, tree};
use super::walk::{Streams, walk};
use super::{Level, Parallelism, Plan, Run};
use crate::formula::Average;
use crate::store::{Source, Stream};
use crate::{Formula, Lane, WithFormula};
use core::array::from_fn;
use core::mem::take;

/// How many slots an optimizer can have: as many as four rules or more that share none.
pub(crate) const SLOTS: usize = 16;

/// What is done beside the update, while a block is in the cache.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside {
    /// Whether the change is added up; it is zero otherwise.
    pub(crate) measured: bool,
    /// What the average of the parameters does, which is the slot after those of the rules.
    pub(crate) follow: Option<Follow>,
}

/// How an average takes in the next parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Follow {
    /// It becomes them.
    Copying,
    /// It keeps so much of itself.
    Moving(f64),
}

/// How a call's elements are updated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    pub(crate) level: Level,
    pub(crate) parallelism: Parallelism,
    pub(crate) beside: Beside,
}

impl Sweep {
    /// Updates all elements that are not frozen, and sets to zero the gradients that are to be. Returns the sums of
    /// squares of how far parameters have moved, and of how large they are now.
    pub(crate) fn run<'a>(
        self,
        tensors: &'a mut [Tensor<'_>],
        state: &mut [Stream<'a>],
        plan: &impl Plan,
    ) -> [f64; 2] {
        let part = &mut Part::new(tensors, state);
        if plan.layerwise() && part.len > 0 { self.layers(part, plan) } else { self.elements(part, plan) }
    }

    /// Each element by itself.
    pub(super) fn elements(self, part: &mut Part<'_, '_, '_>, plan: &impl Plan) -> [f64; 2] {
        let Self { level, parallelism, beside } = self;
        let update = |part: &mut Part<'_, '_, '_>, mut changes: Option<&mut ChangeSums>| {
            part.each_run(&|start| plan.run(start), |group, part| {
                let average = part.state.get_mut(SLOTS).map(take).and_then(|average| average.into_plain());
                let (changes, average) = (changes.as_deref_mut(), average.unwrap_or_default());
                let mut visit = Visit { level, start: part.start, changes, follow: beside.follow, average };
                match group {
                    Some(group) => {
                        let update = Update { part, slots: plan.slots(group), visit: &mut visit };
                        if let Err(found) = plan.at(group, update) {
                            plan.unlike(group, found);
                        }
                    }
                    None => take(&mut part.span).for_each(|tensor| visit.frozen(tensor)),
                }
            });
        };
        if beside.measured {
            let measured =
                |part: &mut Part<'_, '_, '_>| ChangeSums::of(|changes| update(part, Some(changes)));
            return tree(parallelism, part, &measured, join);
        }
        share(parallelism, part, &|part| update(part, None));
        [0.0; 2]
    }
}

/// Applies one formula without state to every element.
pub(crate) fn apply(
    level: Level,
    parallelism: Parallelism,
    formula: impl Formula<0>,
    params: &mut [f32],
    grads: &[f32],
) {
    let tensors = &mut [Tensor::new(params, grads)];
    let sweep = Sweep { level, parallelism, beside: Beside::default() };
    sweep.run(tensors, &mut [], &Same { formula, slots: &[] });
}

/// One formula for all elements.
pub(super) struct Same<'a, F, const S: usize> {
    pub(super) formula: F,
    pub(super) slots: &'a [usize],
}

impl<F: Formula<S>, const S: usize> Plan for Same<'_, F, S> {
    fn run(&self, _start: usize) -> Run {
        Run { start: 0, end: usize::MAX, group: Some(0) }
    }

    fn at<W: WithFormula>(&self, _group: usize, with: W) -> W::Output {
        with.formula(self.formula)
    }

    fn slots(&self, _group: usize) -> &[usize] {
        self.slots
    }

    fn layerwise(&self) -> bool {
        false
    }

    fn unlike(&self, _group: usize, _found: usize) {}
}

/// A formula to come, and the elements that it is to be applied to.
struct Update<'s, 'a, 'b, 'c, 'd> {
    /// By reference, as is `visit`: they would be moved through every decorator.
    part: &'c mut Part<'s, 'a, 'b>,
    slots: &'c [usize],
    visit: &'c mut Visit<'a, 'd>,
}

impl WithFormula for Update<'_, '_, '_, '_, '_> {
    /// An error is how many slots the formula takes, where they are not as many as there are.
    type Output = Result<(), usize>;

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Self::Output {
        let Self { part, slots, visit } = self;
        if slots.len() != S {
            return Err(S);
        }
        let mut state = select(part.state, slots);
        for tensor in take(&mut part.span) {
            let state = split_off(&mut state, tensor.params.len());
            match tensor {
                Tensor { params, grads: Grads::Keep(grads), .. } if visit.nothing_beside() => {
                    stage::walk(visit.level, &formula, Stored { params, grads, state });
                }
                tensor => visit.update(&formula, tensor, state),
            }
        }
        Ok(())
    }
}

/// Consecutive elements, block by block.
struct Visit<'a, 'c> {
    level: Level,
    start: usize,
    changes: Option<&'c mut ChangeSums>,
    follow: Option<Follow>,
    /// Empty if nothing follows.
    average: &'a mut [f32],
}

impl Visit<'_, '_> {
    const fn nothing_beside(&self) -> bool {
        self.changes.is_none() && self.follow.is_none()
    }

    fn update<F: Formula<S>, const S: usize>(
        &mut self,
        formula: &F,
        mut tensor: Tensor<'_>,
        mut state: [Stream<'_>; S],
    ) {
        let mut scratch = [0.0; STAGE];
        let longest = if tensor.params.is_plain() { BLOCK } else { STAGE };
        while !tensor.params.is_empty() {
            let len = longest.min(tensor.params.len());
            let (mut block, rest) = tensor.split_at(len);
            if let Some(changes) = &mut self.changes {
                changes.before(decoded(self.level, block.params.as_source(), &mut scratch));
            }
            let (params, grads) = block.both();
            let state = split_off(&mut state, len);
            stage::walk(self.level, formula, Stored { params, grads, state });
            let params = decoded(self.level, block.params.as_source(), &mut scratch);
            if let Some(changes) = &mut self.changes {
                changes.after(self.level, self.start, params);
            }
            self.follow(params);
            block.zero();
            self.start += len;
            tensor = rest;
        }
    }

    fn frozen(&mut self, mut tensor: Tensor<'_>) {
        if self.follow.is_some() {
            each_decoded(self.level, tensor.params.as_source(), |params| self.follow(params));
        }
        tensor.zero();
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

/// Numbers as they are computed with: themselves, or in scratch.
pub(super) fn decoded<'a>(level: Level, source: Source<'a>, scratch: &'a mut [f32; STAGE]) -> &'a [f32] {
    source.plain().unwrap_or_else(|| {
        let scratch = &mut scratch[..source.len()];
        level.run(
            #[inline(always)]
            || source.decode(scratch),
        );
        scratch
    })
}

/// Visits numbers as they are computed with, all at once or block by block.
pub(super) fn each_decoded(level: Level, mut source: Source<'_>, mut visit: impl FnMut(&[f32])) {
    if let Some(plain) = source.plain() {
        return visit(plain);
    }
    let mut scratch = [0.0; STAGE];
    while !source.is_empty() {
        let (block, rest) = source.split_at(STAGE.min(source.len()));
        visit(decoded(level, block, &mut scratch));
        source = rest;
    }
}

/// The slots that a formula takes, in its order.
pub(super) fn select<'a, const S: usize>(state: &mut [Stream<'a>], slots: &[usize]) -> [Stream<'a>; S] {
    from_fn(|k| slots.get(k).map(|&slot| take(&mut state[slot])).unwrap_or_default())
}

/// The first `len` elements of each slot, which keeps the rest.
pub(super) fn split_off<'a, const S: usize>(state: &mut [Stream<'a>; S], len: usize) -> [Stream<'a>; S] {
    state.each_mut().map(|slot| {
        let (left, right) = take(slot).split_at(len);
        *slot = right;
        left
    })
}
