//! Every element's formula in one pass over memory.

use super::codec::Rounds;
use super::codes::Codes;
use super::condition::{Condition, Conditioned};
use super::fold::{ChangeSums, join};
use super::layer::{Known, measure};
use super::share::share;
use super::stage::{Stage, State};
use super::tensor::{Grads, Tensor};
use super::tree::{Part, listed, tree};
use super::visit::Visit;
use super::walk::{Streams, walk};
use super::{Level, Parallelism, Plan, Run};
use crate::formula::Layer;
use crate::store::numbers_mut;
use crate::{Formula, WithFormula};
use core::mem::take;

/// How many slots an optimizer can have: as many as four rules or more that share none.
pub(crate) const SLOTS: usize = 16;

/// Where the average of the parameters is, which is the slot after those of the rules.
pub(crate) const AVERAGE: usize = SLOTS;

/// Where the lower halves of parameters are.
pub(crate) const LOWER: usize = SLOTS + 1;

/// All that an optimizer keeps.
pub(crate) const STREAMS: usize = SLOTS + 2;

/// What stands for the parameters themselves, after all that.
pub(crate) const PARAMS: usize = STREAMS;

/// What is done beside the update, while a block is in the cache.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside {
    /// Whether the change is added up; it is zero otherwise.
    pub(crate) measured: bool,
    /// What the average of the parameters does.
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
#[derive(Clone, Copy)]
pub(crate) struct Sweep<'a> {
    pub(crate) level: Level,
    pub(crate) parallelism: Parallelism,
    pub(crate) beside: Beside,
    /// How what an optimizer keeps is kept.
    pub(crate) codes: &'a Codes<'a>,
    pub(crate) rounding: Rounds<'a>,
}

impl Sweep<'_> {
    /// Updates all elements that are not frozen, and sets to zero the gradients that are to be. Returns the sums of
    /// squares of how far parameters have moved, and of how large they are now.
    pub(crate) fn run<'a>(
        self,
        start: usize,
        tensors: &'a mut [Tensor<'_>],
        state: &mut [&'a mut [u8]],
        plan: &impl Plan,
    ) -> [f64; 2] {
        if let Some(plain) = self.plain(start, tensors, state, plan) {
            return plain;
        }
        let part = &mut Part::new(start, tensors, state, self.codes);
        if !plan.layerwise() || part.len == 0 {
            return self.elements(part, plan);
        }
        if self.codes.in_blocks { self.layers_in_order(part, plan) } else { self.layers(part, plan) }
    }

    /// What is one slice of one group, and for one thread, needs no parts, which would take a small step a third longer.
    fn plain(
        self,
        start: usize,
        tensors: &mut [Tensor<'_>],
        state: &mut [&mut [u8]],
        plan: &impl Plan,
    ) -> Option<[f64; 2]> {
        let Self { level, parallelism, beside, codes, .. } = self;
        let [Tensor { params, grads: Grads::Keep(grads), mirror: None, .. }] = tensors else { return None };
        let beside = beside.measured || beside.follow.is_some() || !codes.plain;
        let params = params.borrow().into_plain()?;
        let grads = grads.plain()?;
        if beside || plan.layerwise() || !(1..=parallelism.grain()).contains(&params.len()) {
            return None;
        }
        let Run { end, group, .. } = plan.run(start);
        let group = group.filter(|_| end - start >= params.len())?;
        if plan.condition(group).is_some() {
            return None;
        }
        let plain = Plain { level, params, grads, state, slots: plan.slots(group) };
        if let Err(found) = plan.at(group, plain) {
            plan.unlike(group, found);
        }
        Some([0.0; 2])
    }

    /// Each element by itself. Returns the sums of each leaf.
    pub(crate) fn leaves<'a>(
        self,
        start: usize,
        tensors: &'a mut [Tensor<'_>],
        state: &mut [&'a mut [u8]],
        plan: &impl Plan,
    ) -> Vec<[f64; 2]> {
        let part = &mut Part::new(start, tensors, state, self.codes);
        tree(self.parallelism, part, &|part| vec![self.measured(part, plan)], listed)
    }

    /// Each element by itself.
    pub(super) fn elements(self, part: &mut Part<'_, '_, '_>, plan: &impl Plan) -> [f64; 2] {
        if self.beside.measured {
            return tree(self.parallelism, part, &|part| self.measured(part, plan), join);
        }
        share(self.parallelism, part, &|part| self.update(part, plan, None, None));
        [0.0; 2]
    }

    fn measured(self, part: &mut Part<'_, '_, '_>, plan: &impl Plan) -> [f64; 2] {
        ChangeSums::of(|changes| self.update(part, plan, Some(changes), None))
    }

    /// One layer after the other, as where a layer ends a block of state may not.
    fn layers_in_order(self, part: &mut Part<'_, '_, '_>, plan: &impl Plan) -> [f64; 2] {
        let known = |place| plan.layer(place);
        let layers = Some(Layers { parallelism: self.parallelism, known: &known });
        if self.beside.measured {
            return ChangeSums::of(|changes| self.update(part, plan, Some(changes), layers));
        }
        self.update(part, plan, None, layers);
        [0.0; 2]
    }

    /// Every element of a part, on the calling thread.
    fn update(
        self,
        part: &mut Part<'_, '_, '_>,
        plan: &impl Plan,
        mut changes: Option<&mut ChangeSums>,
        layers: Option<Layers<'_>>,
    ) {
        let Self { level, beside, rounding, .. } = self;
        part.each_run(&|start| plan.run(start), |group, part| {
            let [average, lower] =
                [AVERAGE, LOWER].map(|slot| part.state.get_mut(slot).map(take).unwrap_or_default());
            let (changes, average) = (changes.as_deref_mut(), numbers_mut(average));
            let mut visit =
                Visit { level, start: part.start, changes, follow: beside.follow, average, lower };
            match group {
                Some(group) => {
                    let slots = plan.slots(group);
                    let condition = plan.condition(group);
                    let update = Update { part, slots, condition, visit: &mut visit, rounding, layers };
                    if let Err(found) = plan.at(group, update) {
                        plan.unlike(group, found);
                    }
                }
                None => take(&mut part.span).for_each(|tensor| visit.leave(tensor)),
            }
        });
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
    let (beside, codes, rounding) = (Beside::default(), &Codes::PLAIN, Rounds::default());
    let sweep = Sweep { level, parallelism, beside, codes, rounding };
    sweep.run(0, tensors, &mut [], &Same { formula, slots: &[], condition: None });
}

/// One formula for all elements.
pub(super) struct Same<'a, F, const S: usize> {
    pub(super) formula: F,
    pub(super) slots: &'a [usize],
    pub(super) condition: Option<Condition>,
}

impl<F: Formula<S>, const S: usize> Plan for Same<'_, F, S> {
    fn run(&self, _start: usize) -> Run {
        Run { start: 0, end: usize::MAX, group: Some(0) }
    }

    fn at<W: WithFormula>(&self, _group: usize, with: W) -> W::Output {
        with.formula(self.formula)
    }

    fn condition(&self, _group: usize) -> Option<Condition> {
        self.condition
    }

    fn slots(&self, _group: usize) -> &[usize] {
        self.slots
    }

    fn layerwise(&self) -> bool {
        false
    }

    fn unlike(&self, _group: usize, _found: usize) {}
}

/// A formula to come, and all that it is to be applied to.
struct Plain<'c, 'a> {
    level: Level,
    params: &'c mut [f32],
    grads: &'c [f32],
    state: &'c mut [&'a mut [u8]],
    slots: &'c [usize],
}

impl WithFormula for Plain<'_, '_> {
    type Output = Result<(), usize>;

    #[inline]
    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Self::Output {
        let Self { level, params, grads, state, slots } = self;
        let slots: [usize; S] = slots.try_into().map_err(|_| S)?;
        let state: [&mut [f32]; S] = slots.map(|slot| numbers_mut(take(&mut state[slot])));
        walk(level, &formula, Streams { params, grads, state });
        Ok(())
    }
}

/// A formula to come, and the elements that it is to be applied to.
struct Update<'s, 'a, 'b, 'c, 'd> {
    /// By reference, as is `visit`: they would be moved through every decorator.
    part: &'c mut Part<'s, 'a, 'b>,
    slots: &'c [usize],
    condition: Option<Condition>,
    visit: &'c mut Visit<'a, 'd>,
    rounding: Rounds<'c>,
    /// How layers are measured, if that is still to be done.
    layers: Option<Layers<'c>>,
}

/// How layers are measured.
#[derive(Clone, Copy)]
struct Layers<'a> {
    parallelism: Parallelism,
    /// That of a place, if it has been measured elsewhere.
    known: &'a dyn Fn(usize) -> Option<Layer>,
}

impl Layers<'_> {
    fn layer<F: Formula<S>, const S: usize>(
        self,
        level: Level,
        formula: &F,
        elements: &Known<'_, S>,
    ) -> Layer {
        let known = (self.known)(elements.start);
        known.unwrap_or_else(|| measure(level, self.parallelism, formula, elements))
    }
}

impl WithFormula for Update<'_, '_, '_, '_, '_> {
    /// An error is how many slots the formula takes, where they are not as many as there are.
    type Output = Result<(), usize>;

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Self::Output {
        let Self { part, slots, condition, visit, rounding, layers } = self;
        let slots = slots.try_into().map_err(|_| S)?;
        let mut state = State::select(part, slots);
        let measured = layers.filter(|_| F::LAYERWISE);
        if state.is_plain() && measured.is_none() {
            // One for all tensors, as it is long.
            let mut stage = None;
            let mut conditioned = None;
            for tensor in take(&mut part.span) {
                let here = state.split_off(tensor.len());
                match tensor {
                    tensor if tensor.is_idle() => visit.leave(tensor),
                    tensor if !tensor.is_plain() => {
                        let stage = match &mut stage {
                            Some(stage) => Stage::begin(stage, here),
                            none => none.insert(Stage::new(here, condition, rounding)),
                        };
                        stage.update(&formula, tensor, visit);
                    }
                    Tensor { params, grads: Grads::Keep(grads), .. }
                        if condition.is_none() && visit.nothing_beside() =>
                    {
                        let params = params.into_plain().unwrap_or_default();
                        let grads = grads.plain().unwrap_or_default();
                        walk(visit.level, &formula, Streams { params, grads, state: here.plain() });
                    }
                    tensor => {
                        let conditioned = condition
                            .map(|condition| conditioned.get_or_insert_with(|| Conditioned::new(condition)));
                        visit.update(&formula, conditioned, tensor, here.plain());
                    }
                }
            }
            return Ok(());
        }
        let mut stage = Stage::new(state, condition, rounding);
        for tensor in take(&mut part.span) {
            let mut here = formula;
            if F::LAYERWISE
                && let Some(layers) = measured.filter(|_| !tensor.is_idle())
            {
                let elements = &stage.known(&tensor, visit.lower);
                here = formula.of_layer(layers.layer(visit.level, &formula, elements));
            }
            stage.update(&here, tensor, visit);
        }
        Ok(())
    }
}
