//! One step.

use super::group::Member;
use super::{Gradients, NonFinite, Optimizer, Pipeline, Report, Update};
use crate::engine::{
    self, AVERAGE, Beside, Codes, Condition, LOWER, Magnitude, Measure, PARAMS, Plan, Rounds, STREAMS, Sweep,
    Tensor,
};
use crate::formula::Layer;
use crate::rule::Shared;
use crate::store::Random;
use crate::{Error, Formula, Rounding, Rule, WithFormula};
use core::mem::take;
use core::ops::Range;
use core::slice::from_mut;
use std::sync::OnceLock;

impl<R: Rule> Optimizer<R> {
    /// One step: updates `params` and the state by the gradients `grads`, and counts.
    ///
    /// The result is the same to the bit whatever the level, the parallelism, the number of threads, the
    /// alignment of the slices, and however the parameters are cut into optimizers. (Which NaN it is may differ. A
    /// [layerwise](crate::Formula::LAYERWISE) rule takes `params`, or each run of a group in them, for one layer. And what is
    /// [rounded](Self::set_rounding) stochastically, or kept in [`Format::Block8`](crate::Format::Block8), depends on its place.)
    ///
    /// It allocates nothing itself. From outside of its pool, rayon allocates a job for a step that is shared, and a block
    /// of its queue now and then.
    ///
    /// Where the rule is one of your own and panics, some elements have been stepped and others not; the step is not counted,
    /// and an average of the weights that had not begun has not.
    ///
    /// # Locks
    /// Mind a lock that is held around a step over rayon, as with an optimizer in a `Mutex` that several jobs of a pool step. A
    /// thread that waits for its share to be done takes up other jobs meanwhile, and if one of these wants the same lock it waits
    /// for itself, for ever; and a thread outside of the pool that holds it waits for threads that wait for it. There are
    /// ways around it: collect what the jobs have found and step after them, as trainers do; or give each job an optimizer of
    /// its own; or step on the thread that holds the lock alone, with [`Parallelism::Serial`](crate::Parallelism::Serial).
    ///
    /// # Errors
    /// [`Error::Length`] if a slice has not [`len`](Self::len) elements, [`Error::Swapped`] if the parameters are in the place
    /// of their [average](Self::swap_ema), [`Error::Split`] if it keeps [lower halves](Self::set_split) of them. Nothing has been
    /// written then.
    pub fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), Error> {
        self.layout.check_len("params", params.len())?;
        self.layout.check_len("grads", grads.len())?;
        self.run(from_mut(&mut Tensor::new(params, grads)), &Pipeline::default()).map(drop)
    }

    /// One step over many tensors, which laid end to end are the parameters, with what `pipeline` asks for on the way. If the
    /// optimizer was made from a [`Layout`](crate::Layout) with names, they are its tensors, or one slice of all.
    ///
    /// The bits are those of one slice for all, in one parallel region that is shared out by elements and not by tensors;
    /// only for [layerwise](crate::Formula::LAYERWISE) rules is each tensor a layer. [`step`](Self::step)'s promises hold.
    /// Tensors of [parameters alone](Tensor::of) are left alone.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a tensor has not as many gradients as parameters, [`Error::Mirror`] if it has not as many in its
    /// [copy](Tensor::mirrored), [`Error::Split`] if [lower halves](Self::set_split) are kept of what are no upper ones, [`Error::Length`] if all tensors together
    /// do not have [`len`](Self::len) elements, [`Error::TensorName`], [`Error::TensorLength`] or [`Error::TensorCount`] if
    /// the optimizer was made from a [`Layout`](crate::Layout) and they are not its tensors in its order, [`Error::Swapped`]
    /// as [`step`](Self::step), [`Error::Hyperparameter`] if the pipeline's [`check`](Pipeline::check)
    /// fails, [`Error::NonFinite`] if the pipeline makes an error of gradients that are not finite. Nothing has been
    /// written then, and no gradient set to zero.
    pub fn step_with(&mut self, tensors: &mut [Tensor<'_>], pipeline: &Pipeline) -> Result<Report, Error> {
        pipeline.check()?;
        self.layout.check_grads(tensors)?;
        self.layout.check(tensors)?;
        self.run(tensors, pipeline)
    }

    fn run(&mut self, tensors: &mut [Tensor<'_>], pipeline: &Pipeline) -> Result<Report, Error> {
        self.check_unswapped()?;
        self.check_split(tensors)?;
        let mut step = Step { pipeline, clip_factor: 1.0, layerwise: self.layerwise()?, layers: &[] };
        let (mut report, start) = (Report::NOTHING, self.layout.places().start);
        if pipeline.measures() {
            self.judge(self.measure(start, tensors, pipeline).all(), pipeline, &mut report)?;
            if report.skipped {
                tensors.iter_mut().for_each(Tensor::zero);
                return Ok(report);
            }
            step.clip_factor = report.clip_factor;
        }
        let change = self.sweep(self.layout.places(), tensors, &step, |sweep, tensors, state, plan| {
            sweep.run(start, tensors, state, plan)
        })?;
        report.update = pipeline.measure_update.then(|| Update::of(change));
        self.count();
        Ok(report)
    }

    /// Whether the formula of a group is layerwise.
    ///
    /// # Errors
    /// [`Error::Slots`] if one does not take the slots that its rule names.
    #[inline]
    pub(super) fn layerwise(&self) -> Result<bool, Error> {
        let mut layerwise = false;
        for member in &self.members {
            layerwise |= member.layerwise()? && !member.group.frozen;
        }
        Ok(layerwise)
    }

    /// Gradients that are to be read before the step.
    #[inline]
    pub(super) fn measure<'a, 'b>(
        &self,
        start: usize,
        tensors: &'a mut [Tensor<'b>],
        pipeline: &Pipeline,
    ) -> Measure<'a, 'b, impl Fn(usize) -> engine::Run> {
        let (level, parallelism, limit) = (self.level, self.parallelism, pipeline.limit());
        Measure { level, parallelism, start, tensors, run: |place| self.run_at(place), limit }
    }

    /// What is to be done, with gradients in which so much was found.
    #[inline]
    pub(super) fn judge(
        &self,
        found: Magnitude,
        pipeline: &Pipeline,
        report: &mut Report,
    ) -> Result<(), Error> {
        let found = Gradients::scaled(found, pipeline.scale);
        report.grads = Some(found);
        match (found.first_non_finite, pipeline.non_finite) {
            (Some(first), NonFinite::Error) => {
                let tensor = self.layout.name_at(first);
                return Err(Error::NonFinite { count: found.non_finite, first, tensor });
            }
            (Some(_), NonFinite::Skip) => report.skipped = true,
            _ => report.clip_factor = pipeline.clip_factor(found.norm),
        }
        Ok(())
    }

    /// Steps over the elements of these places, without counting.
    #[inline]
    pub(super) fn sweep<T>(
        &mut self,
        here: Range<usize>,
        tensors: &mut [Tensor<'_>],
        step: &Step<'_>,
        sweep: impl for<'a> FnOnce(Sweep<'_>, &'a mut [Tensor<'_>], &mut [&'a mut [u8]], &Planned<'_, R>) -> T,
    ) -> Result<T, Error> {
        if self.callers.is_none() {
            self.settle(tensors);
        }
        let (level, parallelism, layout) = (self.level, self.parallelism, self.layout.places());
        let plan = Planned { members: &self.members, runs: &self.runs, step, unlike: OnceLock::new() };
        let random = self.random();
        let rounding = Rounds { random: random.as_ref(), stochastic: self.rounding != Rounding::Nearest };
        let (mut state, mut codes): ([_; STREAMS], _) = (Default::default(), Codes::new(&self.edges));
        for (which, (place, slot)) in state.iter_mut().zip(&mut self.state).enumerate() {
            codes.set(which, slot.code);
            *place = slot.bytes_mut();
        }
        let mut beside = Beside { measured: step.pipeline.measure_update, follow: None };
        if let Some(ema) = &mut self.ema {
            beside.follow = Some(ema.follow());
            state[AVERAGE] = ema.average.bytes_mut();
        }
        if let Some(lower) = &mut self.lower {
            codes.set(LOWER, lower.code);
            state[LOWER] = lower.bytes_mut();
        }
        if here != layout {
            for (code, slot) in codes.all.into_iter().zip(&mut state).filter(|(_, slot)| !slot.is_empty()) {
                let first = codes.bytes(code, layout.start, here.start - layout.start);
                *slot = &mut take(slot)[first..][..codes.bytes(code, here.start, here.len())];
            }
        }
        let all = Sweep { level, parallelism, beside, codes: &codes, rounding };
        let found = sweep(all, tensors, &mut state, &plan);
        plan.unlike.into_inner().map_or(Ok(found), Err)
    }

    /// A step has been taken.
    #[inline]
    pub(super) fn count(&mut self) {
        if let Some(ema) = &mut self.ema {
            ema.begun = true;
        }
        self.steps = self.steps.saturating_add(1);
        for member in self.members.iter_mut().filter(|member| !member.group.frozen) {
            member.steps = member.steps.saturating_add(1);
        }
    }
}

impl<R> Optimizer<R> {
    /// The formulas of a step.
    pub(super) const fn planned<'a>(&'a self, step: &'a Step<'a>) -> Planned<'a, R> {
        Planned {
            members: self.members.as_slice(),
            runs: self.runs.as_slice(),
            step,
            unlike: OnceLock::new(),
        }
    }

    /// The elements around a place that are of one group.
    fn run_at(&self, place: usize) -> engine::Run {
        run_at(&self.members, &self.runs, place)
    }

    /// The bits of this step for what is rounded by them.
    fn random(&self) -> Option<[Random; PARAMS + 1]> {
        let seed = match self.rounding {
            Rounding::Stochastic { seed } => seed,
            Rounding::Nearest if self.state.iter().any(|slot| slot.code.in_blocks()) => 0,
            Rounding::Nearest => return None,
        };
        let of = |name| Random::new(seed, self.steps, name);
        // What no slot is in the place of is for the parameters.
        let mut random = [of("params"); PARAMS + 1];
        for (random, slot) in random.iter_mut().zip(&self.state) {
            *random = of(slot.name);
        }
        Some(random)
    }
}

fn run_at<R>(members: &[Member<R>], runs: &[(usize, usize)], place: usize) -> engine::Run {
    let i = runs.partition_point(|&(end, _)| end <= place);
    let (end, group) = runs[i];
    let start = i.checked_sub(1).map_or(0, |before| runs[before].0);
    engine::Run { start, end, group: Some(group).filter(|&group| !members[group].group.frozen) }
}

/// What all groups have in common in a step.
pub(super) struct Step<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) clip_factor: f64,
    pub(super) layerwise: bool,
    /// Layers that have been measured elsewhere, in order.
    pub(super) layers: &'a [(Range<usize>, Layer)],
}

/// The formula of each group in a step, with what surrounds it.
pub(super) struct Planned<'a, R> {
    members: &'a [Member<R>],
    runs: &'a [(usize, usize)],
    step: &'a Step<'a>,
    /// Of a rule that has changed its mind since it was asked.
    unlike: OnceLock<Error>,
}

impl<R: Rule> Plan for Planned<'_, R> {
    fn run(&self, start: usize) -> engine::Run {
        run_at(self.members, self.runs, start)
    }

    fn at<W: WithFormula>(&self, group: usize, with: W) -> W::Output {
        let Member { rule, steps, .. } = &self.members[group];
        rule.at(steps.saturating_add(1), Decayed { shared: rule.shared(), with })
    }

    fn condition(&self, group: usize) -> Option<Condition> {
        self.step.pipeline.condition(self.step.clip_factor, &self.members[group].rule.shared())
    }

    fn slots(&self, group: usize) -> &[usize] {
        &self.members[group].slots
    }

    fn layerwise(&self) -> bool {
        self.step.layerwise
    }

    fn layer(&self, place: usize) -> Option<Layer> {
        let layers = self.step.layers;
        let (range, layer) = layers.get(layers.partition_point(|(range, _)| range.end <= place))?;
        range.contains(&place).then_some(*layer)
    }

    fn unlike(&self, group: usize, found: usize) {
        self.unlike.get_or_init(|| Error::Slots { expected: self.members[group].names.len(), found });
    }
}

/// Puts the decays around a rule's formula.
struct Decayed<W> {
    shared: Shared,
    with: W,
}

impl<W: WithFormula> WithFormula for Decayed<W> {
    type Output = W::Output;

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> W::Output {
        self.shared.decayed(formula, self.with)
    }
}
