//! What is done to gradients on their way into the step, and what is found there.

use crate::Error;
use crate::engine::{Condition, Level, Magnitude, Measure, Parallelism, Run, Tensor};
use crate::formula::Scale;
use crate::rule::{Shared, range};

const LARGEST: f64 = f32::MAX as f64;

/// What is done to the gradients of a step on their way in. They are only read, unless a
/// [`Tensor`](crate::Tensor::zeroing) asks for zeros.
///
/// In this order: the gradient is multiplied by [`scale`](Self::scale), then by a factor that brings the norm of all
/// scaled gradients of the call down to [`max_norm`](Self::max_norm) (both in one multiplication), then clamped to
/// [`clip_value`](Self::clip_value). The rule's own clamp and sign come after that. By default nothing is done.
///
/// `max_norm`, another policy than [`NonFinite::Propagate`] and `measure_grads` read the gradients once before the step;
/// all else is part of the pass that the step takes anyway.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{NonFinite, Optimizer, Pipeline, Sgd, Tensor};
/// let pipeline = Pipeline { max_norm: Some(1.0), non_finite: NonFinite::Skip, ..Pipeline::default() };
/// let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 2)?;
/// let mut params = [0.0, 0.0];
/// let report = optimizer.step_with(&mut [Tensor::new(&mut params, &[3.0, 4.0])], &pipeline)?;
/// assert_eq!(report.grads.unwrap().norm, 5.0);
/// assert!((params[1] + 0.8).abs() < 1e-6);
///
/// let report = optimizer.step_with(&mut [Tensor::new(&mut params, &[f32::NAN, 0.0])], &pipeline)?;
/// assert!(report.skipped && optimizer.steps() == 1);
/// # Ok(()) }
/// ```
///
/// With feature `serde`, it is read and written, with all its [numbers](crate::AnyRule#numbers-in-files). What is left out
/// has its default.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Pipeline {
    /// What gradients are multiplied by, in `[0, f32::MAX]`: the inverse of a loss scale, of a number of accumulated
    /// micro-batches, or `scaler.unscale() / batches as f64` for both. Where it is not 1, a gradient that is subnormal counts as
    /// zero in the step. Default: `1.0`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub scale: f64,
    /// The largest norm of all gradients of the call together that stays. Beyond it, all are multiplied by
    /// `max_norm / (norm + 1e-6)`, as by `torch.nn.utils.clip_grad_norm_`. In `[0, f32::MAX]`. Default: `None`.
    ///
    /// Pascanu et al., *On the difficulty of training recurrent neural networks*, <https://arxiv.org/abs/1211.5063>.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub max_norm: Option<f64>,
    /// The largest magnitude of a single gradient that stays, in `[0, f32::MAX]`. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub clip_value: Option<f64>,
    /// What to do if there are gradients that are not finite. Default: [`Propagate`](NonFinite::Propagate).
    pub non_finite: NonFinite,
    /// The least parameter that stays after the update, between `-f32::MAX` and `f32::MAX`. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub min_param: Option<f64>,
    /// The largest, from `min_param` to `f32::MAX`. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub max_param: Option<f64>,
    /// Whether to report on the gradients, even if nothing above needs to know them. Default: `false`.
    pub measure_grads: bool,
    /// Whether to report how far the parameters have moved. Default: `false`.
    pub measure_update: bool,
}

/// By default, gradients as they are.
impl Default for Pipeline {
    fn default() -> Self {
        Self {
            scale: 1.0,
            max_norm: None,
            clip_value: None,
            non_finite: NonFinite::Propagate,
            min_param: None,
            max_param: None,
            measure_grads: false,
            measure_update: false,
        }
    }
}

/// What to do if there are gradients that are not finite once they are scaled.
///
/// With feature `serde`, it is read and written by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NonFinite {
    /// Go on: they go where IEEE 754 sends them. With `max_norm`, as in PyTorch, one NaN makes all gradients NaN; one
    /// infinity makes itself NaN, and all others zero.
    #[default]
    Propagate,
    /// Leave parameters, state and step count of all groups as they are, and report it. Gradients that were to be set
    /// to zero are.
    Skip,
    /// The same, and return [`Error::NonFinite`].
    Error,
}

/// What a step has found and done.
///
/// With feature `serde`, it is written, for a log, with all its [numbers](crate::AnyRule#numbers-in-files).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Report {
    /// The gradients; `None` if nothing made the step read them beforehand.
    pub grads: Option<Gradients>,
    /// What `max_norm` has multiplied the gradients by; 1 if it has not.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::number::serialize"))]
    pub clip_factor: f64,
    /// Whether nothing has been updated, because of gradients that are not finite.
    pub skipped: bool,
    /// How far the parameters have moved; `None` if it was not [measured](Pipeline::measure_update), or skipped.
    pub update: Option<Update>,
}

/// The gradients of a call that are not frozen, scaled and not yet clipped.
///
/// With feature `serde`, it is written like its [`Report`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Gradients {
    /// The square root of the sum of squares, which are added up in `f64`: it neither overflows nor vanishes.
    ///
    /// It depends on the gradients and their places in the call alone: the same bits at every level, on any number of
    /// threads, and however the same elements are cut into tensors or groups.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::number::serialize"))]
    pub norm: f64,
    /// The largest magnitude; NaN if one is NaN.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::number::serialize"))]
    pub max_abs: f64,
    /// How many are not finite.
    pub non_finite: u64,
    /// The place of the first that is not.
    pub first_non_finite: Option<usize>,
}

/// What a step has done to the parameters of a call that are not frozen: the same bits at every level, on any number of
/// threads, and unless a rule is [layerwise](crate::Formula::LAYERWISE), however the call is cut.
///
/// With feature `serde`, it is written like its [`Report`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Update {
    /// The norm of the difference between the parameters after the step and before.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::number::serialize"))]
    pub norm: f64,
    /// The norm of the parameters after the step.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::number::serialize"))]
    pub params_norm: f64,
}

impl Report {
    pub(super) const NOTHING: Self = Self { grads: None, clip_factor: 1.0, skipped: false, update: None };

    /// Whether the gradients were clipped by their norm.
    #[must_use]
    pub fn clipped(&self) -> bool {
        self.clip_factor < 1.0
    }

    /// The norm of the gradients before they were clipped, if it was measured: what `clip_grad_norm_` returns.
    #[must_use]
    pub fn norm(&self) -> Option<f64> {
        self.grads.map(|grads| grads.norm)
    }

    /// The place of the first gradient that is not finite, if one was found: in words,
    /// [`optimizer.layout().at(place)`](crate::Layout::at).
    #[must_use]
    pub fn first_non_finite(&self) -> Option<usize> {
        self.grads.and_then(|grads| grads.first_non_finite)
    }
}

impl Update {
    pub(super) fn of([moved, params]: [f64; 2]) -> Self {
        Self { norm: moved.sqrt(), params_norm: params.sqrt() }
    }

    /// How far the parameters have moved, in parts of their own size: around 1e-3 in a training that goes well. NaN if
    /// they are all zero and have not moved.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.norm / self.params_norm
    }
}

impl Pipeline {
    /// Whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        range::non_negative("scale", self.scale)?;
        range::non_negative("max_norm", self.max_norm.unwrap_or(0.0))?;
        range::non_negative("clip_value", self.clip_value.unwrap_or(0.0))?;
        let (low, high) = (self.min_param.unwrap_or(-LARGEST), self.max_param.unwrap_or(LARGEST));
        range::check("min_param", low, low.abs() <= LARGEST, "in [-f32::MAX, f32::MAX]")?;
        range::check("max_param", high, (low..=LARGEST).contains(&high), "in [min_param, f32::MAX]")?;
        Ok(())
    }

    /// Whether the gradients must be read before the step.
    pub(super) fn measures(&self) -> bool {
        self.measure_grads || self.max_norm.is_some() || self.non_finite != NonFinite::Propagate
    }

    /// The largest gradient that is finite once scaled.
    pub(super) fn limit(&self) -> f32 {
        let scale = Scale::new(self.scale);
        let mut limit = f32::MAX / if self.scale > 1.0 { self.scale as f32 } else { 1.0 };
        while scale.times(limit).is_infinite() {
            limit = limit.next_down();
        }
        limit
    }

    pub(super) fn clip_factor(&self, norm: f64) -> f64 {
        self.max_norm.map_or(1.0, |max_norm| {
            let factor = max_norm / (norm + 1e-6);
            if factor > 1.0 { 1.0 } else { factor }
        })
    }

    /// What this and a rule's own options come to. `None` if gradients and parameters stay as they are.
    #[inline]
    #[allow(clippy::float_cmp, reason = "exactly 1 changes nothing")]
    pub(super) fn condition(&self, clip_factor: f64, shared: &Shared) -> Option<Condition> {
        let scale = self.scale * clip_factor * if shared.maximize { -1.0 } else { 1.0 };
        let clips = [self.clip_value, shared.clip_value];
        let bounds = [self.min_param, self.max_param];
        if scale == 1.0 && shared.l1_decay == 0.0 && [clips, bounds] == [[None; 2]; 2] {
            return None;
        }
        let [clip, other] = clips.map(|clip| clip.map_or(f32::INFINITY, |clip| clip as f32));
        let low = self.min_param.map_or(f32::NEG_INFINITY, |low| low as f32);
        let high = self.max_param.map_or(f32::INFINITY, |high| high as f32);
        let clip = if other < clip { other } else { clip };
        Some(Condition {
            scale: Scale::new(scale),
            clip: crate::Lane::flush(clip),
            l1_decay: shared.l1_decay as f32,
            bounds: (low, high),
        })
    }
}

impl Gradients {
    /// Measures gradients without a step, at the best level of this CPU, over rayon if its feature is on.
    ///
    /// ```
    /// assert_eq!(lanestep::Gradients::of(&[3.0, -4.0]).norm, 5.0);
    /// ```
    #[must_use]
    pub fn of(grads: &[f32]) -> Self {
        Self::measure(grads, Level::best(), Parallelism::default())
    }

    /// Measures gradients without a step, with the vectors of `level`, on the calling thread or over rayon.
    #[must_use]
    pub fn measure(grads: &[f32], level: Level, parallelism: Parallelism) -> Self {
        let tensors = &mut [Tensor::new::<f32, _>(&mut [], grads)];
        let run = |_| Run { start: 0, end: usize::MAX, group: Some(0) };
        let measure = Measure { level, parallelism, start: 0, tensors, run, limit: f32::MAX };
        Self::scaled(measure.all(), 1.0)
    }

    pub(super) fn scaled(found: Magnitude, scale: f64) -> Self {
        Self {
            norm: found.squares.sqrt() * scale,
            max_abs: f64::from(found.max_abs) * scale,
            non_finite: found.non_finite,
            first_non_finite: found.first_non_finite,
        }
    }
}
