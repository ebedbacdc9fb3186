//! How the gradients fare over time.

use crate::rule::range;
use crate::{Error, Report};

/// What a trainer may want to log, gathered from the [`Report`]s of its steps without another look at any gradient.
///
/// The numbers need what the steps have measured: norms [`measure_grads`](crate::Pipeline::measure_grads) or anything
/// that implies it, the ratio [`measure_update`](crate::Pipeline::measure_update). A step that measures nothing
/// looks healthy, and one that is an error has no report.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{Health, Optimizer, Pipeline, Sgd, Tensor};
/// let mut optimizer = Optimizer::new(Sgd::default(), 2)?;
/// let (mut params, mut health) = ([1.0, 1.0], Health::default());
/// let pipeline = Pipeline { max_norm: Some(1.0), measure_update: true, ..Pipeline::default() };
/// for grads in [[0.3, 0.4], [3e5, 4e5]] {
///     health.record(&optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline)?);
/// }
/// assert_eq!((health.steps, health.clipped, health.exploding()), (2, 1, true));
/// assert!(health.update_ratio.unwrap() < 1e-2);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Health {
    /// How much of themselves the running numbers keep at each step, in `[0, 1)`.
    pub decay: f64,
    /// Gradients whose running norm is below this are vanishing.
    pub vanishing_below: f64,
    /// Gradients whose last norm is above this are exploding.
    pub exploding_above: f64,
    /// Steps recorded, with the skipped ones.
    pub steps: u64,
    /// Steps that were skipped.
    pub skipped: u64,
    /// Steps whose gradients were clipped by their norm.
    pub clipped: u64,
    /// Gradients that were not finite, of all steps together.
    pub non_finite: u64,
    /// The norm of the last step that was measured, finite or not.
    pub last_norm: Option<f64>,
    /// The running mean of the finite norms; so far, the mean of all where there are few.
    pub norm: Option<f64>,
    /// The least finite norm.
    pub min_norm: Option<f64>,
    /// The largest finite norm.
    pub max_norm: Option<f64>,
    /// The largest magnitude of a single gradient in steps whose norm is finite.
    pub max_abs: Option<f64>,
    /// The running mean of how far parameters moved in parts of their own size.
    pub update_ratio: Option<f64>,
    /// How many steps are in `norm` and in `update_ratio`.
    pub averaged: (u64, u64),
}

impl Default for Health {
    fn default() -> Self {
        Self {
            decay: 0.99,
            vanishing_below: 1e-7,
            exploding_above: 1e3,
            steps: 0,
            skipped: 0,
            clipped: 0,
            non_finite: 0,
            last_norm: None,
            norm: None,
            min_norm: None,
            max_norm: None,
            max_abs: None,
            update_ratio: None,
            averaged: (0, 0),
        }
    }
}

impl Health {
    /// Whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        range::fraction("decay", self.decay)?;
        range::check("vanishing_below", self.vanishing_below, self.vanishing_below >= 0.0, "at least 0")?;
        range::check("exploding_above", self.exploding_above, self.exploding_above >= 0.0, "at least 0")
    }

    /// Takes in what a step has found.
    pub fn record(&mut self, report: &Report) {
        self.steps = self.steps.saturating_add(1);
        self.skipped = self.skipped.saturating_add(u64::from(report.skipped));
        self.clipped = self.clipped.saturating_add(u64::from(report.clipped()));
        if let Some(grads) = report.grads {
            self.non_finite = self.non_finite.saturating_add(grads.non_finite);
            self.last_norm = Some(grads.norm);
            if grads.norm.is_finite() {
                mean(&mut self.norm, &mut self.averaged.0, self.decay, grads.norm);
                self.min_norm = Some(self.min_norm.filter(|min| *min <= grads.norm).unwrap_or(grads.norm));
                self.max_norm = Some(self.max_norm.filter(|max| *max >= grads.norm).unwrap_or(grads.norm));
                self.max_abs =
                    Some(self.max_abs.filter(|max| *max >= grads.max_abs).unwrap_or(grads.max_abs));
            }
        }
        if let Some(ratio) = report.update.map(|update| update.ratio()).filter(|ratio| ratio.is_finite()) {
            mean(&mut self.update_ratio, &mut self.averaged.1, self.decay, ratio);
        }
    }

    /// Whether the running norm is below [`vanishing_below`](Self::vanishing_below).
    #[must_use]
    pub fn vanishing(&self) -> bool {
        self.norm.is_some_and(|norm| norm < self.vanishing_below)
    }

    /// Whether the last norm is above [`exploding_above`](Self::exploding_above), or not finite.
    #[must_use]
    pub fn exploding(&self) -> bool {
        self.last_norm.is_some_and(|norm| norm.is_nan() || norm > self.exploding_above)
    }
}

/// A running mean that begins as the plain one, so that it owes nothing to zero.
fn mean(so_far: &mut Option<f64>, count: &mut u64, decay: f64, next: f64) {
    *count = count.saturating_add(1);
    let plain = 1.0 - 1.0 / *count as f64;
    let keep = if plain < decay { plain } else { decay };
    *so_far = Some(so_far.map_or(next, |mean| mean * keep + next * (1.0 - keep)));
}
