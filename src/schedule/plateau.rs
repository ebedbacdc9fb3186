//! The learning rate as a function of how well it goes.

use crate::{Error, rule::range};

/// Multiplies the learning rate by `factor` when a metric has not improved for more than `patience` epochs. As
/// `torch.optim.lr_scheduler.ReduceLROnPlateau`.
///
/// Its options and its state are all here. With feature `serde`, a dictionary of both, so that it goes on where it was
/// saved; where anything but `lr` is left out, the default that stands with it is meant.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::ReduceOnPlateau;
/// let mut plateau = ReduceOnPlateau { factor: 0.5, patience: 1, ..ReduceOnPlateau::new(0.25) };
/// plateau.check()?;
/// let losses = [3.0, 2.0, 2.0, 2.0, 1.0];
/// assert_eq!(losses.map(|loss| plateau.step(loss)), [0.25, 0.25, 0.25, 0.125, 0.125]);
/// # Ok(()) }
/// ```
///
/// A metric that is NaN or infinite is no improvement. (To PyTorch, an infinite one of the right sign is the best ever.)
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct ReduceOnPlateau {
    /// The present learning rate. Like the other numbers but for `best`, in `[0, f32::MAX]`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub lr: f64,
    /// Which way the metric improves. By default [`Mode::Min`].
    #[cfg_attr(feature = "serde", serde(default))]
    pub mode: Mode,
    /// What is left of the learning rate when it is reduced, in `[0, 1)`. By default 0.1.
    #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "super::pytorch::gamma"))]
    pub factor: f64,
    /// Epochs without improvement that are put up with. By default 10.
    #[cfg_attr(feature = "serde", serde(default = "super::pytorch::patience"))]
    pub patience: u64,
    /// By how much a metric must be better than the best to be an improvement. By default 1e-4.
    #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "super::pytorch::threshold"))]
    pub threshold: f64,
    /// What `threshold` is measured in. By default [`ThresholdMode::Rel`].
    #[cfg_attr(feature = "serde", serde(default))]
    pub threshold_mode: ThresholdMode,
    /// Epochs after a reduction in which nothing is counted. By default 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub cooldown: u64,
    /// The learning rate is never reduced below it. By default 0.
    #[cfg_attr(feature = "serde", serde(with = "crate::number", default))]
    pub min_lr: f64,
    /// The learning rate stays where it is if it would not change by more. By default 1e-8.
    #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "super::pytorch::eps"))]
    pub eps: f64,
    /// The best metric so far, always finite. At first, and by default, `None`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number", default))]
    pub best: Option<f64>,
    /// Epochs since then, or since the learning rate was last reduced and cooled down. At first, and by default, 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub num_bad_epochs: u64,
    /// Epochs of the cooldown that are left. At first, and by default, 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub cooldown_counter: u64,
}

/// Which way a metric improves.
///
/// With feature `serde`, `"min"` or `"max"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Mode {
    /// Less is better: a loss. The default.
    #[default]
    Min,
    /// More is better: an accuracy.
    Max,
}

/// What a threshold is measured in.
///
/// With feature `serde`, `"rel"` or `"abs"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum ThresholdMode {
    /// The best metric: better than `best * (1 - threshold)`, or with [`Mode::Max`] `best * (1 + threshold)`. The default.
    /// For metrics above 0: below, it lets worse ones pass, as PyTorch's does.
    #[default]
    Rel,
    /// Its own unit: better than `best - threshold`, or with [`Mode::Max`] `best + threshold`.
    Abs,
}

impl ReduceOnPlateau {
    /// With the defaults, which are PyTorch's, before the first epoch.
    #[must_use]
    pub const fn new(lr: f64) -> Self {
        Self {
            lr,
            mode: Mode::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
            best: None,
            num_bad_epochs: 0,
            cooldown_counter: 0,
        }
    }

    /// Takes the metric of an epoch and returns the learning rate of the next.
    pub fn step(&mut self, metric: f64) -> f64 {
        if self.improves(metric) {
            self.best = Some(metric);
            self.num_bad_epochs = 0;
        } else {
            self.num_bad_epochs = self.num_bad_epochs.saturating_add(1);
        }
        if self.cooldown_counter > 0 {
            self.cooldown_counter -= 1;
            self.num_bad_epochs = 0;
        }
        if self.num_bad_epochs > self.patience {
            let reduced = (self.lr * self.factor).max(self.min_lr);
            if self.lr - reduced > self.eps {
                self.lr = reduced;
            }
            self.cooldown_counter = self.cooldown;
            self.num_bad_epochs = 0;
        }
        self.lr
    }

    fn improves(&self, metric: f64) -> bool {
        let Some(best) = self.best else { return metric.is_finite() };
        let bound = match (self.mode, self.threshold_mode) {
            (Mode::Min, ThresholdMode::Rel) => best * (1.0 - self.threshold),
            (Mode::Min, ThresholdMode::Abs) => best - self.threshold,
            (Mode::Max, ThresholdMode::Rel) => best * (1.0 + self.threshold),
            (Mode::Max, ThresholdMode::Abs) => best + self.threshold,
        };
        metric.is_finite()
            && match self.mode {
                Mode::Min => metric < bound,
                Mode::Max => metric > bound,
            }
    }

    /// Whether every number is in its range. NaN and infinity are in none.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        range::non_negative("lr", self.lr)?;
        range::fraction("factor", self.factor)?;
        range::non_negative("threshold", self.threshold)?;
        range::non_negative("min_lr", self.min_lr)?;
        range::non_negative("eps", self.eps)?;
        let best = self.best.unwrap_or(0.0);
        range::check("best", best, best.is_finite(), "finite")
    }
}
