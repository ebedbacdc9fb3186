//! Every element's formula in one pass over memory.

use super::fold::{Change, Changes, LEAF};
use super::tensor::{Grads, Tensor};
use super::tree::{Part, tree};
use super::walk::{Streams, walk};
use super::{Level, Parallelism, Plan, Run};
use crate::{Formula, WithFormula};
use core::array::from_fn;
use core::mem::take;

/// How many slots an optimizer can have.
pub(crate) const SLOTS: usize = 8;

/// So few elements that what is done with them next finds them in the first cache.
const BLOCK: usize = 1 << 8;

/// Updates all elements that are not frozen, and sets to zero the gradients that are to be. The change is only added
/// up if it is `measured`; it is zero otherwise.
pub(crate) fn sweep(
    level: Level,
    parallelism: Parallelism,
    tensors: &mut [Tensor<'_>],
    state: [&mut [f32]; SLOTS],
    plan: &impl Plan,
    measured: bool,
) -> Change {
    let leaf = if measured { LEAF } else { parallelism.grain() };
    let visit = |part: &mut Part<'_, '_, SLOTS>| {
        let mut changes = measured.then(Changes::new);
        part.each_run(&|start| plan.run(start), |group, part| match group {
            Some(group) => {
                let slots = plan.slots(group);
                plan.at(group, Update { level, part, slots, changes: changes.as_mut() });
            }
            None => take(&mut part.span).for_each(|mut tensor| tensor.zero()),
        });
        changes.map_or(Change::NONE, Changes::total)
    };
    tree(parallelism, leaf, Part::new(tensors, state), &visit, Change::join)
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
    sweep(level, parallelism, tensors, Default::default(), &Same(formula), false);
}

struct Same<F>(F);

impl<F: Formula<0>> Plan for Same<F> {
    fn run(&self, _start: usize) -> Run {
        Run { end: usize::MAX, group: Some(0) }
    }

    fn at<W: WithFormula>(&self, _group: usize, with: W) -> W::Output {
        with.formula(self.0)
    }

    fn slots(&self, _group: usize) -> &[usize] {
        &[]
    }
}

/// A formula to come, and the elements that it is to be applied to.
struct Update<'a, 'b, 'c> {
    level: Level,
    /// By reference, as it would be moved through every decorator.
    part: &'c mut Part<'a, 'b, SLOTS>,
    slots: &'c [usize],
    changes: Option<&'c mut Changes>,
}

impl WithFormula for Update<'_, '_, '_> {
    type Output = ();

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) {
        let Self { level, part, slots, mut changes } = self;
        let mut start = part.start;
        let mut state = select(&mut part.state, slots);
        for tensor in take(&mut part.span) {
            let state = split_off(&mut state, tensor.params.len());
            match tensor {
                Tensor { params, grads: Grads::Keep(grads) } if changes.is_none() => {
                    walk(level, &formula, Streams { params, grads, state });
                }
                tensor => in_blocks(level, &formula, tensor, state, &mut start, &mut changes),
            }
        }
    }
}

/// Looks at parameters and zeroes gradients while they are in the cache.
#[inline(never)] // keeps its memory off the stack of a plain step
fn in_blocks<F: Formula<S>, const S: usize>(
    level: Level,
    formula: &F,
    mut tensor: Tensor<'_>,
    mut state: [&mut [f32]; S],
    start: &mut usize,
    changes: &mut Option<&mut Changes>,
) {
    let mut before = [0.0; BLOCK];
    while !tensor.params.is_empty() {
        let len = BLOCK.min(tensor.params.len());
        let (mut block, rest) = tensor.split_at(len);
        let before = &mut before[..len];
        if changes.is_some() {
            before.copy_from_slice(block.params);
        }
        let (params, grads) = block.both();
        walk(level, formula, Streams { params, grads, state: split_off(&mut state, len) });
        if let Some(changes) = changes {
            changes.add(level, *start, before, block.params);
        }
        block.zero();
        *start += len;
        tensor = rest;
    }
}

/// The slots that a formula takes, in its order.
fn select<'a, const S: usize>(state: &mut [&'a mut [f32]; SLOTS], slots: &[usize]) -> [&'a mut [f32]; S] {
    from_fn(|k| slots.get(k).and_then(|&slot| state.get_mut(slot)).map(take).unwrap_or_default())
}

/// The first `len` elements of each slot, which keeps the rest.
fn split_off<'a, const S: usize>(state: &mut [&'a mut [f32]; S], len: usize) -> [&'a mut [f32]; S] {
    state.each_mut().map(|slot| {
        let (left, right) = take(slot).split_at_mut(len);
        *slot = right;
        left
    })
}
