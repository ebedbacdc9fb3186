//! Up to a large learning rate and down again.

use super::Anneal;
use crate::{Error, rule::range};

/// Up from `max_lr / div_factor` to `max_lr`, then down to `max_lr / div_factor / final_div_factor` at step
/// `total_steps - 1` (Smith & Topin, *Super-Convergence*, <https://arxiv.org/abs/1708.07120>). As `OneCycleLR` with
/// `cycle_momentum=False`, but it stays at the end, where PyTorch's goes on and then fails, and always gets there.
///
/// ```
/// use lanestep::{Schedule, schedule::OneCycle};
/// let schedule = Schedule::from(OneCycle { pct_start: 0.25, ..OneCycle::new(0.5, 100) });
/// assert_eq!([0, 24, 99].map(|step| schedule.lr(step)), [0.5 / 25.0, 0.5, 0.5 / 25.0 / 1e4]);
/// ```
///
/// With feature `serde`, a dictionary of options. Where one is left out, the default that stands with it is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct OneCycle {
    /// The largest learning rate, in `[0, f32::MAX]`.
    #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
    pub max_lr: f64,
    /// Steps in the cycle, at least 1.
    pub total_steps: u64,
    /// Share of the steps that go up, in `[0, 1]`; with three phases, in `[0, 0.5]`. By default 0.3. The peak is at step
    /// `pct_start * total_steps - 1`, which PyTorch does not round to a whole one.
    #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "super::pytorch::pct_start"))]
    pub pct_start: f64,
    /// The shape of each phase. By default [`Anneal::Cos`].
    #[cfg_attr(feature = "serde", serde(default = "super::pytorch::anneal_strategy"))]
    pub anneal_strategy: Anneal,
    /// How many times smaller than the largest the first learning rate is, in `[1, f32::MAX]`. By default 25.
    #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "super::pytorch::div_factor"))]
    pub div_factor: f64,
    /// How many times smaller than the first the last learning rate is, in `[1/div_factor, f32::MAX]`. By default 1e4.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::number", default = "super::pytorch::final_div_factor")
    )]
    pub final_div_factor: f64,
    /// Whether to come down as slowly as it went up, and only then to fall below the first learning rate. By default
    /// `false`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub three_phase: bool,
}

impl OneCycle {
    /// The defaults: 30 % of the steps up from `max_lr / 25`, the others down to `max_lr / 250_000`, along cosines.
    #[must_use]
    pub const fn new(max_lr: f64, total_steps: u64) -> Self {
        Self {
            max_lr,
            total_steps,
            pct_start: 0.3,
            anneal_strategy: Anneal::Cos,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }

    fn first(&self) -> f64 {
        self.max_lr / self.div_factor
    }

    fn last(&self) -> f64 {
        self.first() / self.final_div_factor
    }

    /// The phases end between two steps if `pct_start` says so, or before step 0 if they are shorter than a step.
    pub(super) fn lr(&self, step: u64) -> f64 {
        let (first, max, last, anneal) = (self.first(), self.max_lr, self.last(), self.anneal_strategy);
        let (step, total) = (step as f64, self.total_steps as f64);
        let (up, end) = (self.pct_start * total - 1.0, total - 1.0);
        let down = 2.0 * self.pct_start * total - 2.0;
        if step < up {
            anneal.at(first, max, step / up)
        } else if !self.three_phase {
            anneal.at(max, last, (step - up) / (end - up))
        } else if step < down {
            anneal.at(max, first, (step - up) / (down - up))
        } else {
            anneal.at(first, last, (step - down) / (end - down))
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        range::non_negative("max_lr", self.max_lr)?;
        range::check("total_steps", self.total_steps as f64, self.total_steps >= 1, "at least 1")?;
        range::unit("pct_start", self.pct_start)?;
        let room = !self.three_phase || self.pct_start <= 0.5;
        range::check("pct_start", self.pct_start, room, "in [0, 0.5] with three phases")?;
        range::non_negative("div_factor", self.div_factor)?;
        range::check("div_factor", self.div_factor, self.div_factor >= 1.0, "in [1, f32::MAX]")?;
        range::non_negative("final_div_factor", self.final_div_factor)?;
        let falls = (0.0..=self.max_lr).contains(&self.last()); // NaN or infinite if divided by a zero
        range::check("final_div_factor", self.final_div_factor, falls, "in [1/div_factor, f32::MAX]")
    }
}
