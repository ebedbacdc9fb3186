//! Every element's formula in one pass over memory.

use super::fold::{Change, Changes, LEAF};
use super::tensor::{Grads, Tensor};
use super::tree::{Part, tree};
use super::walk::{Streams, walk};
use super::{Level, Parallelism, Plan};
use crate::{Formula, WithFormula};
use core::array::from_fn;
use core::mem::take;

/// How many slots an optimizer can have.
pub(crate) const SLOTS: usize = 16;

/// So few elements that what is done with them next finds them in the first cache.
const BLOCK: usize = 1 << 10;

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
    let visit = |mut part: Part<'_, '_, SLOTS>| {
        let mut changes = measured.then(Changes::new);
        while part.len > 0 {
            let run = plan.run(part.start);
            let len = part.len.min(run.end - part.start);
            let (now, rest) = part.split_at(len);
            match run.group {
                Some(group) => {
                    let slots = plan.slots(group);
                    plan.at(group, Update { level, part: now, slots, changes: changes.as_mut() });
                }
                None => now.span.into_tensors().for_each(|mut tensor| tensor.zero()),
            }
            part = rest;
        }
        changes.unwrap_or(Changes::new()).total()
    };
    tree(parallelism, leaf, Part::new(tensors, state), &visit, Change::join)
}

/// A formula to come, and the elements that it is to be applied to.
struct Update<'a, 'b, 'c> {
    level: Level,
    part: Part<'a, 'b, SLOTS>,
    slots: &'c [usize],
    changes: Option<&'c mut Changes>,
}

impl WithFormula for Update<'_, '_, '_> {
    type Output = ();

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) {
        let Self { level, part, slots, mut changes } = self;
        let Part { mut start, span, state, .. } = part;
        let mut state = select(state, slots);
        for tensor in span.into_tensors() {
            let Tensor { params, grads } = tensor;
            if let (Grads::Keep(grads), None) = (&grads, &changes) {
                let state = split_off(&mut state, params.len());
                walk(level, &formula, Streams { params, grads, state });
                continue;
            }
            let (mut params, mut grads) = (params, grads);
            while !params.is_empty() {
                let len = BLOCK.min(params.len());
                let (block, rest) = Tensor { params, grads }.split_at(len);
                Tensor { params, grads } = rest;
                let mut before = [0.0; BLOCK];
                let before = &mut before[..len];
                if changes.is_some() {
                    before.copy_from_slice(block.params);
                }
                let mut block = block;
                let state = split_off(&mut state, len);
                let (block_params, block_grads) = block.both();
                walk(level, &formula, Streams { params: block_params, grads: block_grads, state });
                if let Some(changes) = &mut changes {
                    changes.add(level, start, before, block.params);
                }
                block.zero();
                start += len;
            }
        }
    }
}

/// The slots that a formula takes, in its order.
fn select<'a, const S: usize>(state: [&'a mut [f32]; SLOTS], slots: &[usize]) -> [&'a mut [f32]; S] {
    let mut state = state.map(Some);
    from_fn(|k| slots.get(k).and_then(|&slot| state.get_mut(slot)?.take()).unwrap_or_default())
}

/// The first `len` elements of each slot, which keeps the rest.
fn split_off<'a, const S: usize>(state: &mut [&'a mut [f32]; S], len: usize) -> [&'a mut [f32]; S] {
    state.each_mut().map(|slot| {
        let (left, right) = take(slot).split_at_mut(len);
        *slot = right;
        left
    })
}
