//! One step in parts.

use super::step::Step;
use super::{Gradients, Optimizer, Pipeline, Report, Update};
use crate::engine::{LEAF, Magnitude, Open, Plan, Stretch, Sums, Tensor, join_changes, joined, of_leaves};
use crate::formula::Layer;
use crate::{Error, Rule};
use core::ops::Range;

/// A step that is taken in parts: where others have the rest of the parameters, or some are to be stepped before all gradients
/// are there.
///
/// Made by [`Optimizer::in_parts`]. The bits are those of one step over the whole, wherever it is cut, if it is told what it cannot
/// see by itself, in this order:
///
/// 1. If it [`measures`](Self::measures), the [sums of all gradients](Self::measure), put together from all parts:
///    [`decide`](Self::decide).
/// 2. If a rule [is layerwise](Self::is_layerwise), where [layers](Self::set_layers) end, and the sums of all: first of leaves that
///    [end in another part](Self::open_leaf), then of [all](Self::layer_leaves), put together in [`know_layers`](Self::know_layers).
/// 3. [`step`](Self::step) for each part, in any order.
/// 4. [`finish`](Self::finish) counts the step. If it is dropped before, what was stepped stays so, and it is not counted.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{AdamW, Layout, Optimizer, Pipeline, Tensor};
/// let pipeline = Pipeline { max_norm: Some(1.0), ..Pipeline::default() };
/// let (mut params, grads) = (vec![1.0; 100_000], vec![0.5; 100_000]);
/// let (mut alike, layout) = (params.clone(), Layout::from(100_000));
/// let mut whole = Optimizer::new(AdamW::default(), 100_000)?;
/// whole.step_with(&mut [Tensor::new(&mut alike, &grads)], &pipeline)?;
///
/// // On each machine, which would have its part alone.
/// let cut = 4 * Layout::LEAF;
/// let mut parts = Vec::new();
/// for part in [0..cut, cut..100_000] {
///     parts.push((Optimizer::new(AdamW::default(), layout.part(part.clone())?)?, part));
/// }
/// let mut sums = Vec::new(); // sent to all
/// for (optimizer, part) in &mut parts {
///     let tensors = &mut [Tensor::new(&mut params[part.clone()], &grads[part.clone()])];
///     sums.extend(optimizer.in_parts(&pipeline)?.measure(part.start, tensors)?);
/// }
/// for (optimizer, part) in &mut parts {
///     let mut step = optimizer.in_parts(&pipeline)?;
///     assert!(step.decide(&sums)?);
///     let tensors = &mut [Tensor::new(&mut params[part.clone()], &grads[part.clone()])];
///     step.step(part.start, tensors)?;
///     assert!(step.finish(&[])?.clipped());
/// }
/// assert_eq!(params, alike);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct InParts<'a, R> {
    optimizer: &'a mut Optimizer<R>,
    pipeline: &'a Pipeline,
    report: Report,
    layerwise: bool,
    /// Those of the whole that are measured, in order.
    layers: Vec<(Range<usize>, Layer)>,
    /// What it has to be told yet, in the order in which it must be.
    missing: [Option<&'static str>; 3],
}

/// The sums in lanes of a leaf that ends in another part: of squares of what the rule measures, and of parameters.
pub type OpenLeaf = [[f64; 16]; 2];

impl<R: Rule> Optimizer<R> {
    /// Begins a step that is taken in parts. The optimizer may be one for a [part](crate::Layout::part) of the parameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if the pipeline's [`check`](Pipeline::check) fails, [`Error::Swapped`] if the parameters are in the
    /// place of their [average](Self::swap_ema), [`Error::LayerwiseUpdate`] if the pipeline [measures the
    /// update](Pipeline::measure_update) of a rule that is [layerwise](crate::Formula::LAYERWISE).
    pub fn in_parts<'a>(&'a mut self, pipeline: &'a Pipeline) -> Result<InParts<'a, R>, Error> {
        pipeline.check()?;
        self.check_unswapped()?;
        let layerwise = self.layerwise()?;
        if layerwise && pipeline.measure_update {
            return Err(Error::LayerwiseUpdate);
        }
        let ends = layerwise.then_some("ends of layers");
        let sums = layerwise.then_some("sums of layers");
        let missing = [pipeline.measures().then_some("sums of gradients"), ends, sums];
        let report = Report::NOTHING;
        Ok(InParts { optimizer: self, pipeline, report, layerwise, layers: vec![], missing })
    }
}

impl<R: Rule> InParts<'_, R> {
    /// Whether gradients have to be measured before the step.
    #[must_use]
    pub fn measures(&self) -> bool {
        self.pipeline.measures()
    }

    /// The sums of the gradients of a part, whose first element has the place `start`: one for each of its
    /// [leaves](crate::Layout::LEAF). The parameters are not looked at.
    ///
    /// # Errors
    /// As [`step`](Self::step), of what the tensors are.
    pub fn measure(&self, start: usize, tensors: &mut [Tensor<'_>]) -> Result<Vec<Magnitude>, Error> {
        let range = self.check(start, tensors)?;
        if range.is_empty() {
            return Ok(vec![]);
        }
        Ok(self.optimizer.measure(start, tensors, self.pipeline).leaves())
    }

    /// Takes note of the sums of all gradients, in order, of all parts of the whole. `false` says that the step is to be skipped: then
    /// [`finish`](Self::finish) it.
    ///
    /// # Errors
    /// [`Error::Length`] if these are not as many as the whole has leaves, [`Error::NonFinite`] if the pipeline makes an error of
    /// gradients that are not finite.
    pub fn decide(&mut self, leaves: &[Magnitude]) -> Result<bool, Error> {
        let expected = self.optimizer.layout.whole().div_ceil(LEAF);
        check_leaves("the list of sums of gradients", expected, leaves.len())?;
        let found = joined(leaves, Magnitude::join).unwrap_or_default();
        let mut report = Report::NOTHING;
        self.optimizer.judge(found, self.pipeline, &mut report)?;
        self.report = report;
        self.missing[0] = None;
        Ok(!self.report.skipped)
    }

    /// Whether the formula of a group is [layerwise](crate::Formula::LAYERWISE): then layers have to be measured before the step.
    #[must_use]
    pub const fn is_layerwise(&self) -> bool {
        self.layerwise
    }

    /// The tensors of the whole, by their lengths: each is a layer, or several where groups divide it.
    ///
    /// # Errors
    /// [`Error::Length`] if they have more or less elements than the whole.
    pub fn set_layers(&mut self, tensors: &[usize]) -> Result<(), Error> {
        let optimizer = &*self.optimizer;
        let (whole, found) =
            (optimizer.layout.whole(), tensors.iter().fold(0_usize, |n, len| n.saturating_add(*len)));
        if found != whole {
            return Err(Error::Length { what: "the list of tensors", expected: whole, found });
        }
        let (mut layers, mut start) = (Vec::new(), 0);
        for len in tensors {
            let tensor = start..start + len;
            for (range, group) in optimizer.parts(&tensor) {
                let member = &optimizer.members[group];
                if !member.group.frozen && member.layerwise()? {
                    layers.push((range, Layer::default()));
                }
            }
            start = tensor.end;
        }
        self.layers = layers;
        let sums = self.layerwise.then_some("sums of layers");
        self.missing = [self.missing[0], None, sums];
        Ok(())
    }

    /// The sums of the leaf of a layer that ends in another part, if there is one, for the part behind this.
    ///
    /// The tensors are all those of the optimizer's own parameters, each of one tensor of the whole, with their gradients.
    ///
    /// # Errors
    /// As [`step`](Self::step), of what the tensors are.
    pub fn open_leaf(&self, tensors: &[Tensor<'_>]) -> Result<OpenLeaf, Error> {
        let (_, open) = self.survey(tensors, None)?;
        Ok(open.unwrap_or([Sums::NONE; 2]).map(|Sums(lanes)| lanes))
    }

    /// The sums of all leaves of layers that end here. The first of them may have begun in the part before, whose [open
    /// leaf](Self::open_leaf) that is; the first part has [none](OpenLeaf), which is zero.
    ///
    /// # Errors
    /// As [`open_leaf`](Self::open_leaf).
    pub fn layer_leaves(&self, tensors: &[Tensor<'_>], before: &OpenLeaf) -> Result<Vec<[f64; 2]>, Error> {
        self.survey(tensors, Some(before.map(Sums))).map(|(leaves, _)| leaves)
    }

    /// Takes note of the sums of all leaves of layers, in order, of all parts of the whole.
    ///
    /// # Errors
    /// [`Error::Unmeasured`] if the ends of layers are not known, [`Error::Length`] if these are not as many as the layers have leaves.
    pub fn know_layers(&mut self, leaves: &[[f64; 2]]) -> Result<(), Error> {
        self.check_told(2)?;
        let counts = self.layers.iter().map(|(range, _)| range.len().div_ceil(LEAF));
        check_leaves("the list of sums of layers", counts.sum(), leaves.len())?;
        let mut rest = leaves;
        for (range, layer) in &mut self.layers {
            let (here, after) = rest.split_at(range.len().div_ceil(LEAF));
            (*layer, rest) = (of_leaves(range.len(), here), after);
        }
        self.missing[2] = None;
        Ok(())
    }

    /// Steps over some of the optimizer's parameters, of which the first has the place `start`. For a layerwise rule, no tensor may
    /// be of two tensors of the whole. Returns how far each [leaf](crate::Layout::LEAF) has moved and how large it is now, if the
    /// pipeline [asks](Pipeline::measure_update) for it.
    ///
    /// Each element is to be stepped once; what is left out stays as it is, as if it were frozen. Where the step is to be skipped, nothing is done,
    /// and no gradients are [set to zero](Tensor::zeroing).
    ///
    /// # Errors
    /// [`Error::Part`] if these are no part of the optimizer's parameters, [`Error::Layer`] if a tensor goes beyond a layer, [`Error::Tensor`],
    /// [`Error::Mirror`] and [`Error::Split`] as [`step_with`](Optimizer::step_with), [`Error::Unmeasured`] if the step has not been
    /// told what it has to know before. Nothing has been written then.
    pub fn step(&mut self, start: usize, tensors: &mut [Tensor<'_>]) -> Result<Vec<[f64; 2]>, Error> {
        let range = self.check(start, tensors)?;
        if !self.report.skipped {
            self.check_told(3)?;
            self.check_layers(start, tensors)?;
        }
        if self.report.skipped || range.is_empty() {
            return Ok(vec![]);
        }
        let Self { optimizer, pipeline, report, layerwise, layers, .. } = self;
        let step = &Step { pipeline, clip_factor: report.clip_factor, layerwise: *layerwise, layers };
        optimizer.sweep(range, tensors, step, |sweep, tensors, state, plan| {
            if pipeline.measure_update {
                return sweep.leaves(start, tensors, state, plan);
            }
            sweep.run(start, tensors, state, plan);
            vec![]
        })
    }

    /// Counts the step, if it is not to be skipped. `changes` is what [`step`](Self::step) has returned for all parts of the whole, in
    /// order.
    ///
    /// # Errors
    /// [`Error::Unmeasured`] as [`step`](Self::step), [`Error::Length`] if changes are asked for and these are not as many as the whole
    /// has leaves. The step is not counted then.
    pub fn finish(mut self, changes: &[[f64; 2]]) -> Result<Report, Error> {
        if self.report.skipped {
            return Ok(self.report);
        }
        self.check_told(3)?;
        if self.pipeline.measure_update {
            let expected = self.optimizer.layout.whole().div_ceil(LEAF);
            check_leaves("the list of changes", expected, changes.len())?;
            self.report.update = Some(Update::of(joined(changes, join_changes).unwrap_or_default()));
        }
        self.optimizer.count();
        Ok(self.report)
    }

    /// What was found in the gradients; `None` before it is [decided](Self::decide).
    #[must_use]
    pub const fn gradients(&self) -> Option<Gradients> {
        self.report.grads
    }

    const fn as_step(&self) -> Step<'_> {
        let Self { pipeline, report, layerwise, .. } = self;
        Step {
            pipeline,
            clip_factor: report.clip_factor,
            layerwise: *layerwise,
            layers: self.layers.as_slice(),
        }
    }

    /// Whether the tensors may be a part that begins at `start`, and where that is.
    fn check(&self, start: usize, tensors: &[Tensor<'_>]) -> Result<Range<usize>, Error> {
        let layout = &self.optimizer.layout;
        layout.check_grads(tensors)?;
        self.optimizer.check_split(tensors)?;
        let len = tensors.iter().fold(0_usize, |len, tensor| len.saturating_add(tensor.lens().0));
        let range = start..start.saturating_add(len);
        layout.check_part(&range)?;
        Ok(range)
    }

    /// Whether the step has been told the first so many things that it has to know.
    fn check_told(&self, first: usize) -> Result<(), Error> {
        match self.missing[..first].iter().flatten().next() {
            Some(&what) => Err(Error::Unmeasured { what }),
            None => Ok(()),
        }
    }

    /// The layer that elements of one group are of, or begin in.
    fn layer_of(&self, range: &Range<usize>) -> Option<&Range<usize>> {
        let layer = self.layers.partition_point(|(layer, _)| layer.end <= range.start);
        self.layers.get(layer).map(|(layer, _)| layer).filter(|layer| layer.start < range.end)
    }

    /// Whether no tensor goes beyond a layer.
    fn check_layers(&self, start: usize, tensors: &[Tensor<'_>]) -> Result<(), Error> {
        let mut start = start;
        for tensor in tensors {
            let here = start..start + tensor.lens().0;
            for (Range { start, end }, _) in self.optimizer.parts(&here) {
                if let Some(layer) = self.layer_of(&(start..end))
                    && (start < layer.start || layer.end < end)
                {
                    return Err(Error::Layer { start, end, layer: (layer.start, layer.end) });
                }
            }
            start = here.end;
        }
        Ok(())
    }

    fn survey(
        &self,
        tensors: &[Tensor<'_>],
        before: Option<Open>,
    ) -> Result<(Vec<[f64; 2]>, Option<Open>), Error> {
        let optimizer = &*self.optimizer;
        let places = optimizer.layout.places();
        self.check(places.start, tensors)?;
        optimizer.layout.check(tensors)?;
        self.check_told(2)?;
        self.check_layers(places.start, tensors)?;
        let step = &self.as_step();
        let plan = optimizer.planned(step);
        let (mut leaves, mut open) = (Vec::new(), None);
        let mut start = places.start;
        for tensor in tensors {
            let here = start..start + tensor.lens().0;
            for (range, group) in optimizer.parts(&here) {
                let Some(layer) = self.layer_of(&range) else { continue };
                if tensor.is_idle() {
                    let ended = |place: usize| {
                        let len = place - layer.start;
                        if place == layer.end { len.div_ceil(LEAF) } else { len / LEAF }
                    };
                    leaves.resize(leaves.len() + ended(range.end) - ended(range.start), [0.0; 2]);
                    open = None;
                    continue;
                }
                let member = &optimizer.members[group];
                let within = range.start - start..range.end - start;
                let stretch = Stretch {
                    level: optimizer.level,
                    parallelism: optimizer.parallelism,
                    params: tensor.params().part(within.clone()),
                    lower: optimizer.lower_of(&range),
                    grads: tensor.grads().part(within),
                    condition: plan.condition(group),
                    state: member.slots.iter().map(|slot| optimizer.state[*slot].shelf(&range)).collect(),
                    start: range.start,
                    layer: layer.clone(),
                    before,
                };
                let (found, last) = plan.at(group, stretch);
                leaves.extend(found);
                open = last;
            }
            start = here.end;
        }
        Ok((leaves, open))
    }
}

fn check_leaves(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}
