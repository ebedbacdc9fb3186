//! Layers, whose formulas depend on sums over them.

use super::codec;
use super::condition::Condition;
use super::fold::{LEAF, Sums, join};
use super::stage::STAGE;
use super::sweep::{LOWER, Same, Sweep};
use super::tree::{Part, Room, both, joined, over};
use super::walk::{self, Read};
use super::{Level, Parallelism, Plan, Run};
use crate::formula::Layer;
use crate::store::{Shelf, Source};
use crate::{Formula, WithFormula};
use core::array::from_fn;
use core::ops::Range;

impl Sweep<'_> {
    /// Each layer by itself: a tensor, or an unbroken stretch of one group in it. Where they are cut apart does not
    /// depend on the parallelism, as changes are added up along the cuts.
    pub(super) fn layers(self, part: &mut Part<'_, '_, '_>, plan: &impl Plan) -> [f64; 2] {
        let Some(cut) = seam(part, plan) else { return self.layer(part, plan) };
        let (len, mut room) = (part.len, Room::default());
        let front = &mut part.take_front(cut, &mut room);
        let (left, right) =
            both(self.parallelism, len, || self.layers(front, plan), || self.layers(part, plan));
        join(left, right)
    }

    fn layer(self, part: &mut Part<'_, '_, '_>, plan: &impl Plan) -> [f64; 2] {
        let layerwise = plan.run(part.start).group.and_then(|group| {
            let (known, slots) = (plan.layer(part.start), plan.slots(group));
            let condition = plan.condition(group);
            plan.at(group, Measured { sweep: self, part: &mut *part, slots, condition, known })
        });
        layerwise.unwrap_or_else(|| self.elements(part, plan))
    }
}

/// A place near the middle where a layer ends; `None` if there is but one.
fn seam(part: &Part<'_, '_, '_>, plan: &impl Plan) -> Option<usize> {
    part.span.middle(part.len).or_else(|| {
        let Run { start, end, .. } = plan.run(part.start + part.len / 2);
        let cuts = [end.saturating_sub(part.start), start.saturating_sub(part.start)];
        cuts.into_iter().find(|cut| (1..part.len).contains(cut))
    })
}

/// The elements of a layer, to be updated by the formula to come if it depends on their sums.
struct Measured<'s, 'a, 'b, 'c> {
    sweep: Sweep<'c>,
    part: &'c mut Part<'s, 'a, 'b>,
    slots: &'c [usize],
    condition: Option<Condition>,
    known: Option<Layer>,
}

impl WithFormula for Measured<'_, '_, '_, '_> {
    type Output = Option<[f64; 2]>;

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Self::Output {
        if F::LAYERWISE { self.step(formula) } else { None }
    }
}

impl Measured<'_, '_, '_, '_> {
    fn step<F: Formula<S>, const S: usize>(self, formula: F) -> Option<[f64; 2]> {
        let Self { sweep, part, slots, condition, known } = self;
        // A layer is of one tensor.
        let tensor = part.span.borrow().next().unwrap_or_default();
        if slots.len() != S || tensor.is_idle() {
            return None;
        }
        let layer = known.unwrap_or_else(|| {
            let state = from_fn(|k| Shelf {
                code: part.codes.all[slots[k]],
                start: part.start,
                bytes: &*part.state[slots[k]],
            });
            let lower = part.state.get(LOWER).map_or(&[][..], |lower| lower);
            let (params, grads) = (tensor.params(), tensor.grads());
            let known = &Known { params, lower, grads, condition, start: part.start, state };
            measure(sweep.level, sweep.parallelism, &formula, known)
        });
        Some(sweep.elements(part, &Same { formula: formula.of_layer(layer), slots, condition }))
    }
}

/// What is known of a layer.
pub(super) struct Known<'a, const S: usize> {
    pub(super) params: Source<'a>,
    /// The lower halves of parameters, if they have any.
    pub(super) lower: &'a [u8],
    pub(super) grads: Source<'a>,
    pub(super) condition: Option<Condition>,
    /// Where it begins among all.
    pub(super) start: usize,
    pub(super) state: [Shelf<'a>; S],
}

/// Reads the elements of a layer once.
pub(super) fn measure<F: Formula<S>, const S: usize>(
    level: Level,
    parallelism: Parallelism,
    formula: &F,
    known: &Known<'_, S>,
) -> Layer {
    let len = known.params.len();
    let leaf = |range: Range<usize>| known.add(level, formula, range, 0, [Sums::NONE; 2]).map(Sums::total);
    let [measured, params] = sums(parallelism, 0..len, &leaf);
    Layer { len, params, measured }
}

/// The sums in lanes of a leaf that is not whole yet.
pub(crate) type Open = [Sums; 2];

/// Consecutive elements of a layer of which others may have the rest.
pub(crate) struct Stretch<'a> {
    pub(crate) level: Level,
    pub(crate) parallelism: Parallelism,
    pub(crate) params: Source<'a>,
    /// The lower halves of parameters, if they have any.
    pub(crate) lower: &'a [u8],
    pub(crate) grads: Source<'a>,
    pub(crate) condition: Option<Condition>,
    /// Of each slot of the formula to come.
    pub(crate) state: Vec<Shelf<'a>>,
    /// Where it begins among all.
    pub(crate) start: usize,
    /// Where the layer is among all.
    pub(crate) layer: Range<usize>,
    /// Of the leaf that it begins in, what is before it; `None` if only the leaf that it ends in is asked for.
    pub(crate) before: Option<Open>,
}

impl WithFormula for Stretch<'_> {
    /// The sums of the leaves that end in it, and of the one that does not.
    type Output = (Vec<[f64; 2]>, Option<Open>);

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Self::Output {
        // A condition that the compiler knows, so that no loops are made for rules without layers.
        if F::LAYERWISE { self.leaves(formula) } else { (vec![], None) }
    }
}

impl Stretch<'_> {
    fn leaves<F: Formula<S>, const S: usize>(self, formula: F) -> (Vec<[f64; 2]>, Option<Open>) {
        let Self { level, parallelism, params, lower, grads, condition, state, start, layer, before } = self;
        let Ok(state) = state.try_into() else { return (vec![], None) };
        let (known, end) = (&Known { params, lower, grads, condition, start, state }, start + params.len());
        let first = layer.start + (start - layer.start) / LEAF * LEAF;
        let leaves = (first..end).step_by(LEAF).map(|leaf| leaf.max(start)..end.min(leaf + LEAF));
        let mut leaves: Vec<_> = leaves.collect();
        let is_open =
            |leaf: &Range<usize>| leaf.end < layer.end && !(leaf.end - layer.start).is_multiple_of(LEAF);
        let open = leaves.pop_if(|leaf| is_open(leaf));
        let add = |leaf: Range<usize>| {
            let before = before.filter(|_| leaf.start == start && start > first);
            let range = leaf.start - start..leaf.end - start;
            let lane = (leaf.start - layer.start) % 16;
            known.add(level, &formula, range, lane, before.unwrap_or([Sums::NONE; 2]))
        };
        let closed = if before.is_some() { &leaves[..] } else { &[] };
        let closed = over(parallelism, closed, &|leaf| add(leaf).map(Sums::total));
        (closed, open.map(add))
    }
}

/// The layer whose leaves have these sums.
pub(crate) fn of_leaves(len: usize, leaves: &[[f64; 2]]) -> Layer {
    let [measured, params] = joined(leaves, join).unwrap_or_default();
    Layer { len, params, measured }
}

impl<const S: usize> Known<'_, S> {
    /// Adds some elements to sums, of which the first belongs to a lane.
    fn add<F: Formula<S>>(
        &self,
        level: Level,
        formula: &F,
        range: Range<usize>,
        lane: usize,
        mut sums: [Sums; 2],
    ) -> [Sums; 2] {
        let mut add = |read: Read<'_, S>| {
            // Up to where a lane begins anew.
            let (rest, read) = read.split_at(lane.wrapping_neg() % 16);
            walk::survey_rest(formula, lane, rest, &mut sums);
            walk::survey(level, formula, read, &mut sums);
        };
        if let Some(read) = self.plain(range.clone()) {
            add(read);
            return sums;
        }
        let mut scratch = ([0.0; STAGE], [0.0; STAGE], [[0.0; STAGE]; S]);
        for start in range.clone().step_by(STAGE) {
            let piece = start..range.end.min(start + STAGE);
            add(self.decoded(level, piece, &mut scratch));
        }
        sums
    }

    /// Some elements, if all is as it is computed with.
    fn plain(&self, range: Range<usize>) -> Option<Read<'_, S>> {
        if self.condition.is_some() {
            return None;
        }
        let (params, grads) = (self.params.plain()?, self.grads.plain()?);
        let mut state = [&[][..]; S];
        for (slot, shelf) in state.iter_mut().zip(&self.state) {
            *slot = &shelf.plain()?[range.clone()];
        }
        Some(Read { params: &params[range.clone()], grads: &grads[range], state })
    }

    /// Some elements as they are computed with.
    fn decoded<'s>(
        &self,
        level: Level,
        range: Range<usize>,
        (params, grads, state): &'s mut ([f32; STAGE], [f32; STAGE], [[f32; STAGE]; S]),
    ) -> Read<'s, S> {
        let len = range.len();
        let (params, grads) = (&mut params[..len], &mut grads[..len]);
        let mut state = state.each_mut().map(|slot| &mut slot[..len]);
        let lower =
            if self.lower.is_empty() { self.lower } else { &self.lower[2 * range.start..2 * range.end] };
        codec::decode(level, self.params.part(range.clone()), lower, params);
        codec::decode(level, self.grads.part(range.clone()), &[], grads);
        if let Some(condition) = self.condition {
            condition.gradients(level, params, grads);
        }
        for (slot, shelf) in state.iter_mut().zip(self.state) {
            codec::read(level, shelf, self.start + range.start..self.start + range.end, slot);
        }
        Read { params, grads, state: state.map(|slot| &*slot) }
    }
}

/// Along the tree of [`tree`](super::tree::tree).
fn sums(
    parallelism: Parallelism,
    range: Range<usize>,
    leaf: &(impl Fn(Range<usize>) -> [f64; 2] + Sync),
) -> [f64; 2] {
    let len = range.len();
    if len <= LEAF {
        return leaf(range);
    }
    let middle = range.start + (1 << (len - 1).ilog2());
    let left = || sums(parallelism, range.start..middle, leaf);
    let (left, right) = both(parallelism, len, left, || sums(parallelism, middle..range.end, leaf));
    join(left, right)
}
