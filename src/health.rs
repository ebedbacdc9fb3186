//! How the gradients fare over time.

use crate::rule::range;
use crate::{Error, Report};

/// What a trainer may want to log, gathered from the [`Report`]s of its steps without another look at any gradient.
///
/// The numbers need what the steps have measured: norms [`measure_grads`](crate::Pipeline::measure_grads) or anything
/// that implies it, the ratio [`measure_update`](crate::Pipeline::measure_update). A step that measures nothing
/// looks healthy, and one that is an error has no report.
///
/// [`spiked`](Self::spiked) is about the last step, [`exploding`](Self::exploding) and [`vanishing`](Self::vanishing) are
/// about the recent ones together. How fast these follow is up to `decay` alone, not to how large norms are.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{Health, Optimizer, Pipeline, Sgd, Tensor};
/// let mut optimizer = Optimizer::new(Sgd::default(), 2)?;
/// let (mut params, mut health) = ([1.0, 1.0], Health::default());
/// let pipeline = Pipeline { max_norm: Some(1.0), measure_update: true, ..Pipeline::default() };
/// let mut step = |grads: [f32; 2]| -> Result<Health, lanestep::Error> {
///     health.record(&optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline)?);
///     Ok(health)
/// };
/// step([0.3, 0.4])?;
/// let once = step([3e5, 4e5])?;
/// assert!(once.spiked() && !once.exploding()); // a bad batch, which clipping is there for
/// for _ in 0..20 {
///     step([3e5, 4e5])?;
/// }
/// let again = step([0.3, 0.4])?;
/// assert!(!again.spiked() && again.exploding()); // one good batch does not make up for them
/// assert_eq!((again.steps, again.clipped, again.largest_norm), (23, 21, Some(5e5)));
/// assert!(again.update_ratio.unwrap() < 1e-2);
/// # Ok(()) }
/// ```
///
/// With feature `serde`, options and state are read and written, with all their [numbers](crate::AnyRule#numbers-in-files).
/// What is left out has its default.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Health {
    /// How much of themselves the running numbers keep at each step, in `[0, 1)`. Default: `0.99`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub decay: f64,
    /// A norm below this has vanished. Not negative. Default: `1e-7`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub vanishing_below: f64,
    /// A norm above this has exploded, and one that is not finite. At infinity only the latter. Not negative. Default: `1e3`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub exploding_above: f64,
    /// Steps recorded, with the skipped ones. Default: `0`.
    pub steps: u64,
    /// Steps that were skipped. Default: `0`.
    pub skipped: u64,
    /// Steps whose gradients were clipped by their norm. Default: `0`.
    pub clipped: u64,
    /// Gradients that were not finite, of all steps together. Default: `0`.
    pub non_finite: u64,
    /// The norm of the last step that was measured, finite or not. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub last_norm: Option<f64>,
    /// The running mean of the finite norms; so far, the mean of all where there are few. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub norm: Option<f64>,
    /// The smallest finite norm. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub smallest_norm: Option<f64>,
    /// The largest finite norm. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub largest_norm: Option<f64>,
    /// The largest magnitude of a single gradient in steps whose norm is finite. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub largest_abs: Option<f64>,
    /// The running share of measured steps whose norm had vanished. Default: `0.0`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub vanished: f64,
    /// The running share of measured steps whose norm had exploded. Default: `0.0`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub exploded: f64,
    /// The running mean of how far parameters moved in parts of their own size. Default: `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub update_ratio: Option<f64>,
    /// How many steps are in `norm` and in `update_ratio`. Default: `(0, 0)`.
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
            smallest_norm: None,
            largest_norm: None,
            largest_abs: None,
            vanished: 0.0,
            exploded: 0.0,
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
        range::check("exploding_above", self.exploding_above, self.exploding_above >= 0.0, "at least 0")?;
        range::unit("vanished", self.vanished)?;
        range::unit("exploded", self.exploded)
    }

    /// Takes in what a step has found.
    pub fn record(&mut self, report: &Report) {
        self.steps = self.steps.saturating_add(1);
        self.skipped = self.skipped.saturating_add(u64::from(report.skipped));
        self.clipped = self.clipped.saturating_add(u64::from(report.clipped()));
        if let Some(grads) = report.grads {
            self.non_finite = self.non_finite.saturating_add(grads.non_finite);
            self.last_norm = Some(grads.norm);
            self.vanished = share(self.vanished, self.decay, grads.norm < self.vanishing_below);
            self.exploded = share(self.exploded, self.decay, self.spiked());
            if grads.norm.is_finite() {
                mean(&mut self.norm, &mut self.averaged.0, self.decay, grads.norm);
                let smaller = |so_far: &f64| *so_far <= grads.norm;
                self.smallest_norm = Some(self.smallest_norm.filter(smaller).unwrap_or(grads.norm));
                self.largest_norm = larger(self.largest_norm, grads.norm);
                self.largest_abs = larger(self.largest_abs, grads.max_abs);
            }
        }
        if let Some(ratio) = report.update.map(|update| update.ratio()).filter(|ratio| ratio.is_finite()) {
            mean(&mut self.update_ratio, &mut self.averaged.1, self.decay, ratio);
        }
    }

    /// Whether the last norm that was measured is above [`exploding_above`](Self::exploding_above), or not finite.
    #[must_use]
    pub fn spiked(&self) -> bool {
        self.last_norm.is_some_and(|norm| !norm.is_finite() || norm > self.exploding_above)
    }

    /// Whether more than a tenth of the recent steps [spiked](Self::spiked): of a healthy run with the default `decay`,
    /// after eleven in a row. The single infinities by which a [`LossScaler`](crate::LossScaler) finds its scale are not
    /// enough; gradients that are NaN for good are.
    #[must_use]
    pub fn exploding(&self) -> bool {
        self.exploded > 0.1
    }

    /// Whether the norms of more than nine tenths of the recent steps were below
    /// [`vanishing_below`](Self::vanishing_below): of a healthy run with the default `decay`, after 230 in a row.
    #[must_use]
    pub fn vanishing(&self) -> bool {
        self.vanished > 0.9
    }
}

fn larger(so_far: Option<f64>, next: f64) -> Option<f64> {
    Some(so_far.filter(|so_far| *so_far >= next).unwrap_or(next))
}

/// A running share that begins at 0: one step is no trend, not even the first.
fn share(so_far: f64, decay: f64, more: bool) -> f64 {
    so_far * decay + if more { 1.0 - decay } else { 0.0 }
}

/// A running mean that begins as the plain one, so that it owes nothing to zero.
fn mean(so_far: &mut Option<f64>, count: &mut u64, decay: f64, next: f64) {
    *count = count.saturating_add(1);
    let plain = 1.0 - 1.0 / *count as f64;
    let keep = if plain < decay { plain } else { decay };
    *so_far = Some(so_far.map_or(next, |mean| mean * keep + next * (1.0 - keep)));
}
