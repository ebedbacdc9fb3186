//! Up and down between two learning rates, again and again.

use super::anneal::{Anneal, part};
use super::power;
use crate::{Error, rule::range};

/// A line up from `base_lr` towards `max_lr` and a line down again, again and again (Smith, *Cyclical Learning Rates
/// for Training Neural Networks*, <https://arxiv.org/abs/1506.01186>). As `CyclicLR` with `cycle_momentum=False`; there
/// is no `scale_fn`, and no rounding error that grows with the number of cycles.
///
/// ```
/// use lanestep::{Schedule, schedule::{Cyclic, CyclicMode}};
/// let cycles = Cyclic { step_size_down: Some(1), ..Cyclic::new(0.25, 0.75, 2) };
/// assert_eq!([0, 1, 2, 3, 4, 5].map(|step| Schedule::from(cycles).lr(step)), [0.25, 0.5, 0.75, 0.25, 0.5, 0.75]);
/// let halved = Cyclic { mode: CyclicMode::Triangular2, ..cycles };
/// assert_eq!([0, 1, 2, 3, 4, 5].map(|step| Schedule::from(halved).lr(step)), [0.25, 0.5, 0.75, 0.25, 0.375, 0.5]);
/// ```
///
/// With feature `serde`, a dictionary of options. Where one is left out, the default that stands with it is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Cyclic {
    /// The learning rate at which each cycle begins, in `[0, max_lr]`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub base_lr: f64,
    /// The largest learning rate, in `[0, f32::MAX]`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub max_lr: f64,
    /// Steps up, at least 1. By default 2000.
    #[cfg_attr(feature = "serde", serde(default = "super::pytorch::step_size_up"))]
    pub step_size_up: u64,
    /// Steps down; of none, the next cycle begins where the peak would be. By default `None`: as many as up.
    #[cfg_attr(feature = "serde", serde(default))]
    pub step_size_down: Option<u64>,
    /// What becomes of the height, the difference between `max_lr` and `base_lr`. By default
    /// [`CyclicMode::Triangular`].
    #[cfg_attr(feature = "serde", serde(default))]
    pub mode: CyclicMode,
    /// What [`CyclicMode::ExpRange`] leaves of the height from step to step, in `[0, 1]`; to other modes it is nothing.
    /// By default 1. PyTorch's may be larger and lead above `max_lr`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "super::pytorch::one"))]
    pub gamma: f64,
}

/// What becomes of the height of the cycles.
///
/// With feature `serde`, `"triangular"`, `"triangular2"` or `"exp_range"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CyclicMode {
    /// It stays. The default.
    #[default]
    Triangular,
    /// It halves from cycle to cycle.
    Triangular2,
    /// It is multiplied by [`gamma`](Cyclic::gamma) every step.
    ExpRange,
}

impl Cyclic {
    /// `step_size_up` steps up and as many down, all cycles of the same height: the `mode` is
    /// [`Triangular`](CyclicMode::Triangular), and a `gamma` of 1 stands by.
    #[must_use]
    pub const fn new(base_lr: f64, max_lr: f64, step_size_up: u64) -> Self {
        let (step_size_down, mode, gamma) = (None, CyclicMode::Triangular, 1.0);
        Self { base_lr, max_lr, step_size_up, step_size_down, mode, gamma }
    }

    pub(super) fn lr(&self, step: u64) -> f64 {
        let up = self.step_size_up.max(1);
        let down = self.step_size_down.unwrap_or(up);
        // A cycle of more steps than a `u64` counts is the only one.
        let (cycle, within) = up.checked_add(down).map_or((0, step), |total| (step / total, step % total));
        let height = if within < up { part(within, up) } else { part(down - (within - up), down) };
        let scale = match self.mode {
            CyclicMode::Triangular => 1.0,
            CyclicMode::Triangular2 => power::whole(0.5, cycle),
            CyclicMode::ExpRange => power::whole(self.gamma, step),
        };
        Anneal::Linear.at(self.base_lr, self.max_lr, height * scale)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        range::non_negative("max_lr", self.max_lr)?;
        let below = (0.0..=self.max_lr).contains(&self.base_lr);
        range::check("base_lr", self.base_lr, below, "in [0, max_lr]")?;
        super::at_least_one("step_size_up", self.step_size_up)?;
        range::unit("gamma", self.gamma)
    }
}
