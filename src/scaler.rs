//! Loss scaling for gradients in half precision.

use crate::rule::range;
use crate::{Error, Report};

/// A loss scale that finds its own size, as `torch.amp.GradScaler`.
///
/// Multiply the loss by [`scale`](Self::scale), hand the gradients over with [`unscale`](Self::unscale) and
/// [`NonFinite::Skip`](crate::NonFinite::Skip), and tell the scaler what came of it. Gradients that overflow halve the
/// scale; 2000 steps without any double it.
///
/// Micikevicius et al., *Mixed Precision Training*, <https://arxiv.org/abs/1710.03740>.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{AdamW, LossScaler, NonFinite, Optimizer, Pipeline, Tensor};
/// let mut optimizer = Optimizer::new(AdamW::default(), 2)?;
/// let (mut params, mut scaler) = ([1.0, 2.0], LossScaler::default());
/// for grads in [[f32::INFINITY, 0.0], [65536.0, 0.0]] {
///     let pipeline =
///         Pipeline { scale: scaler.unscale(), non_finite: NonFinite::Skip, ..Pipeline::default() };
///     scaler.update(&optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline)?);
/// }
/// assert_eq!((scaler.scale, scaler.clean_steps, optimizer.steps()), (32768.0, 1, 1));
/// # Ok(()) }
/// ```
///
/// With feature `serde`, options and state are read and written, with all their [numbers](crate::AnyRule#numbers-in-files).
/// What is left out has its default.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LossScaler {
    /// What the loss is to be multiplied by now, in `[1 / f32::MAX, f32::MAX]`. Default: `65536.0`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub scale: f64,
    /// What the scale is multiplied by after `growth_interval` clean steps, where that is in range. In
    /// `(1, f32::MAX]`. Default: `2.0`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub growth_factor: f64,
    /// What the scale is multiplied by when gradients are not finite, where that is in range. In `(0, 1)`.
    /// Default: `0.5`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub backoff_factor: f64,
    /// So many clean steps in a row make the scale grow. At least 1. Default: `2000`.
    pub growth_interval: u64,
    /// How many there have been since the scale last changed. Default: `0`.
    pub clean_steps: u64,
}

/// PyTorch's.
impl Default for LossScaler {
    fn default() -> Self {
        Self {
            scale: 65536.0,
            growth_factor: 2.0,
            backoff_factor: 0.5,
            growth_interval: 2000,
            clean_steps: 0,
        }
    }
}

impl LossScaler {
    /// Whether each field is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        let Self { scale, growth_factor, backoff_factor, growth_interval, .. } = *self;
        let largest = f64::from(f32::MAX);
        let scales = scale >= 1.0 / largest && scale <= largest;
        range::check("scale", scale, scales, "in [1 / f32::MAX, f32::MAX]")?;
        range::check(
            "growth_factor",
            growth_factor,
            growth_factor > 1.0 && growth_factor <= largest,
            "in (1, f32::MAX]",
        )?;
        range::check(
            "backoff_factor",
            backoff_factor,
            backoff_factor > 0.0 && backoff_factor < 1.0,
            "in (0, 1)",
        )?;
        range::check("growth_interval", growth_interval as f64, growth_interval > 0, "at least 1")
    }

    /// What the gradients are to be multiplied by: the inverse of the scale.
    #[must_use]
    pub fn unscale(&self) -> f64 {
        1.0 / self.scale
    }

    /// Learns from a step whose gradients were measured, as [`NonFinite::Skip`](crate::NonFinite::Skip) has them. From
    /// any other there is nothing to learn, nor from an error.
    pub fn update(&mut self, report: &Report) {
        let Some(grads) = report.grads else { return };
        if grads.non_finite > 0 {
            let scale = self.scale * self.backoff_factor;
            if 1.0 / scale <= f64::from(f32::MAX) {
                self.scale = scale;
            }
            self.clean_steps = 0;
            return;
        }
        self.clean_steps = self.clean_steps.saturating_add(1);
        if self.clean_steps >= self.growth_interval {
            let scale = self.scale * self.growth_factor;
            if scale <= f64::from(f32::MAX) {
                self.scale = scale;
            }
            self.clean_steps = 0;
        }
    }
}
