//! Layers, whose formulas depend on sums over them.

use super::fold::{Sums, join};
use super::stage::{self, Stored};
use super::sweep::{Same, Sweep, select};
use super::tree::{Part, Room, both, tree};
use super::{Level, Parallelism, Plan, Run};
use crate::formula::Layer;
use crate::{Formula, WithFormula};
use core::mem::take;

impl Sweep {
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
            plan.at(group, Measured { sweep: self, part: &mut *part, slots: plan.slots(group) })
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
    sweep: Sweep,
    part: &'c mut Part<'s, 'a, 'b>,
    slots: &'c [usize],
}

impl WithFormula for Measured<'_, '_, '_, '_> {
    type Output = Option<[f64; 2]>;

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Self::Output {
        let Self { sweep, part, slots } = self;
        if !F::LAYERWISE || slots.len() != S {
            return None;
        }
        let layer = measure(sweep.level, sweep.parallelism, &formula, part, slots);
        Some(sweep.elements(part, &Same { formula: formula.of_layer(layer), slots }))
    }
}

/// Reads the elements of a layer once.
fn measure<F: Formula<S>, const S: usize>(
    level: Level,
    parallelism: Parallelism,
    formula: &F,
    part: &mut Part<'_, '_, '_>,
    slots: &[usize],
) -> Layer {
    let leaf = |part: &mut Part<'_, '_, '_>| {
        let mut sums = [Sums::NONE; 2];
        // A layer is of one tensor.
        for mut tensor in take(&mut part.span) {
            let (params, grads) = tensor.both();
            let state = select(part.state, slots);
            stage::survey(level, formula, Stored { params, grads, state }, &mut sums);
        }
        sums.map(Sums::total)
    };
    let len = part.len;
    let [measured, params] = tree(parallelism, &mut part.again(&mut Room::default()), &leaf, join);
    Layer { len, params, measured }
}
