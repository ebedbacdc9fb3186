//! The learning rate as a function of the step.
//!
//! A [`Schedule`] knows no optimizer and keeps no state: it says what the learning rate of a step is. Steps count
//! from 0, as [`Optimizer::steps`](crate::Optimizer::steps) does, so this is all there is to following one:
//!
//! ```
//! # fn main() -> Result<(), lanestep::Error> {
//! use lanestep::{AdamW, Optimizer, Schedule};
//! let schedule = Schedule::cosine(1e-2, 900).warmup(100);
//! schedule.check()?;
//!
//! let mut params = vec![1.0; 1000];
//! let mut optimizer = Optimizer::new(AdamW::default(), params.len())?;
//! for _ in 0..1000 {
//!     let grads: Vec<f32> = params.iter().map(|p| 2.0 * p).collect(); // of the sum of squares
//!     optimizer.set_lr(schedule.lr(optimizer.steps()))?;
//!     optimizer.step(&mut params, &grads)?;
//! }
//! assert!(params.iter().all(|p| p.abs() < 1e-2));
//! # Ok(()) }
//! ```
//!
//! [`ReduceOnPlateau`] follows a metric instead of the step and so has state.
//!
//! # From PyTorch
//!
//! What `torch.optim.lr_scheduler` calls `last_epoch` is the argument of [`Schedule::lr`]. A schedule is of one learning
//! rate, that of the first group; [`set_lr`](crate::Optimizer::set_lr) changes those of all groups in proportion, as PyTorch's
//! schedulers do. Where they take lists, groups have [one of their own](crate::Optimizer::set_group_lr).
//!
//! | class | here | differences |
//! |---|---|---|
//! | `LambdaLR` | a function of your own, below | |
//! | `MultiplicativeLR` | [`exponential`](Schedule::exponential) if the factor is always the same, else below | |
//! | `StepLR` | [`step`](Schedule::step) | |
//! | `MultiStepLR` | [`multi_step`](Schedule::multi_step) | |
//! | `ConstantLR` | [`Constant`](Schedule::Constant) | `factor` may be 0, and 0 `total_iters` are none, not all |
//! | `LinearLR` | [`Linear`](Schedule::Linear), [`warmup`](Schedule::warmup) | `start_factor` may be 0 |
//! | `ExponentialLR` | [`exponential`](Schedule::exponential) | |
//! | `SequentialLR` | [`sequence`](Schedule::sequence) | parts have an `lr` of their own, and lengths in place of milestones |
//! | `CosineAnnealingLR` | [`cosine`](Schedule::cosine) | stays at `eta_min`, does not rise again |
//! | `ChainedScheduler` | [`chained`](Schedule::chained) | multiplies whatever it is given |
//! | `PolynomialLR` | [`polynomial`](Schedule::polynomial) | |
//! | `CyclicLR` | [`cyclic`](Schedule::cyclic) | no `scale_fn`, no cycle of the momentum, `gamma` at most 1 |
//! | `OneCycleLR` | [`one_cycle`](Schedule::one_cycle) | no cycle of the momentum; stays at the end, does not fail |
//! | `CosineAnnealingWarmRestarts` | [`cosine_warm_restarts`](Schedule::cosine_warm_restarts) | whole steps only |
//! | `ReduceLROnPlateau` | [`ReduceOnPlateau`] | a metric that is infinite is no improvement |
//!
//! A function of the step needs no schedule around it:
//!
//! ```
//! # fn main() -> Result<(), lanestep::Error> {
//! use lanestep::{Optimizer, Sgd};
//! let mut optimizer = Optimizer::new(Sgd::default(), 1)?;
//! let mut params = [1.0];
//!
//! // LambdaLR: the first learning rate, times a function.
//! let lr_lambda = |epoch: u64| 1.0 / (1 + epoch) as f64;
//! for epoch in 0..4 {
//!     optimizer.set_lr(0.5 * lr_lambda(epoch))?;
//!     optimizer.step(&mut params, &[1.0])?;
//! }
//! assert_eq!(optimizer.lr(), 0.5 / 4.0);
//!
//! // MultiplicativeLR: the last learning rate, times a function.
//! let lr_lambda = |epoch: u64| if epoch % 2 == 0 { 0.5 } else { 1.0 };
//! optimizer.set_lr(0.5)?;
//! for epoch in 0..4 {
//!     if epoch > 0 {
//!         optimizer.set_lr(optimizer.lr() * lr_lambda(epoch))?;
//!     }
//!     optimizer.step(&mut params, &[1.0])?;
//! }
//! assert_eq!(optimizer.lr(), 0.5 * 0.5);
//! # Ok(()) }
//! ```

mod anneal;
mod cyclic;
mod one_cycle;
mod plateau;
mod power;
#[cfg(feature = "serde")]
mod pytorch;

pub use anneal::Anneal;
pub use cyclic::{Cyclic, CyclicMode};
pub use one_cycle::OneCycle;
pub use plateau::{Mode, ReduceOnPlateau, ThresholdMode};

use crate::{Error, rule::range};
use anneal::part;
use core::iter;

/// The learning rate of each step.
///
/// Options have PyTorch's names ([which class is what](self#from-pytorch)); `lr`, which PyTorch keeps in the optimizer,
/// stands here and is in `[0, f32::MAX]`. With all of them in range ([`check`](Self::check)), [`lr`](Self::lr) is in
/// `[0, f32::MAX]` at every `u64`, where what grows beyond stays, and first and last value are exact to the bit. It is
/// computed from the step alone, in `f64`, with the same bits on every platform; most of PyTorch's schedulers multiply
/// the last learning rate instead and drift by a rounding error a step.
///
/// ```
/// use lanestep::Schedule;
/// let schedule = Schedule::cosine(1.0, 100).warmup(10);
/// assert_eq!([0, 5, 10, 60, 110, 1000].map(|step| schedule.lr(step)), [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
/// ```
///
/// With feature `serde`, a dictionary of options with the scheduler's class under `schedule`. Where one is left out, the
/// default that stands with it is meant, which is PyTorch's if it has one; those without must be there, and what is
/// unknown is an error. A schedule that [`check`](Self::check) allows reads back as it was written.
///
#[cfg_attr(feature = "serde", doc = "```")]
#[cfg_attr(not(feature = "serde"), doc = "```ignore")]
/// # fn main() -> Result<(), serde_json::Error> {
/// use lanestep::Schedule;
/// let text = r#"{"schedule": "Warmup", "steps": 10, "then":
///     {"schedule": "CosineAnnealingLR", "lr": 1, "T_max": 100}}"#;
/// let schedule: Schedule = serde_json::from_str(text)?;
/// assert_eq!(schedule, Schedule::cosine(1.0, 100).warmup(10));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "schedule", deny_unknown_fields))]
#[non_exhaustive]
pub enum Schedule {
    /// `lr`, but `lr * factor` for the first `total_iters` steps. As `ConstantLR`, whose first steps never end if there
    /// are none.
    #[cfg_attr(feature = "serde", serde(rename = "ConstantLR"))]
    Constant {
        /// The learning rate in the end.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// What the first steps have of it, in `[0, 1]`. By default 1/3.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "pytorch::factor"))]
        factor: f64,
        /// Number of the first steps. By default 5.
        #[cfg_attr(feature = "serde", serde(default = "pytorch::total_iters"))]
        total_iters: u64,
    },
    /// A line from `lr * start_factor` to `lr * end_factor`, which stays. As `LinearLR`, which refuses to start from 0.
    #[cfg_attr(feature = "serde", serde(rename = "LinearLR"))]
    Linear {
        /// The learning rate that the factors multiply.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// What there is of it at step 0, in `[0, 1]`. By default 1/3.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "pytorch::factor"))]
        start_factor: f64,
        /// What there is of it from step `total_iters` on, in `[0, 1]`. By default 1.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "pytorch::one"))]
        end_factor: f64,
        /// Steps between the two, at least 1. By default 5.
        #[cfg_attr(feature = "serde", serde(default = "pytorch::total_iters"))]
        total_iters: u64,
    },
    /// `lr * gamma^n` after `n` times `step_size` steps. As `StepLR`.
    #[cfg_attr(feature = "serde", serde(rename = "StepLR"))]
    Step {
        /// The first learning rate.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// Steps with the same learning rate, at least 1.
        step_size: u64,
        /// Factor between them, in `[0, f32::MAX]`. By default 0.1.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "pytorch::gamma"))]
        gamma: f64,
    },
    /// `lr * gamma^n` from the `n`-th milestone on. As `MultiStepLR`.
    #[cfg_attr(feature = "serde", serde(rename = "MultiStepLR"))]
    MultiStep {
        /// The first learning rate.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// Steps from which on another `gamma` enters, in any order; what stands twice enters twice.
        milestones: Vec<u64>,
        /// Factor between them, in `[0, f32::MAX]`. By default 0.1.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "pytorch::gamma"))]
        gamma: f64,
    },
    /// `lr * gamma^step`. As `ExponentialLR`.
    #[cfg_attr(feature = "serde", serde(rename = "ExponentialLR"))]
    Exponential {
        /// The first learning rate.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// Factor from step to step, in `[0, f32::MAX]`.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        gamma: f64,
    },
    /// `lr * (1 - step/total_iters)^power`, and 0 from step `total_iters` on. As `PolynomialLR`.
    #[cfg_attr(feature = "serde", serde(rename = "PolynomialLR"))]
    Polynomial {
        /// The first learning rate.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// Steps to the end, at least 1. By default 5.
        #[cfg_attr(feature = "serde", serde(default = "pytorch::total_iters"))]
        total_iters: u64,
        /// Degree of the polynomial, in `[0, f32::MAX]`. By default 1, a line.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default = "pytorch::one"))]
        power: f64,
    },
    /// Half a cosine from `lr` to `eta_min` (Loshchilov & Hutter, *SGDR*, <https://arxiv.org/abs/1608.03983>).
    /// As `CosineAnnealingLR`, but it stays at `eta_min`, where PyTorch's rises again after `T_max`.
    #[cfg_attr(feature = "serde", serde(rename = "CosineAnnealingLR"))]
    Cosine {
        /// The first learning rate.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// Steps to the end, at least 1. PyTorch's `T_max`.
        #[cfg_attr(feature = "serde", serde(rename = "T_max"))]
        t_max: u64,
        /// The last learning rate, in `[0, lr]`. By default 0.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default))]
        eta_min: f64,
    },
    /// Half a cosine from `lr` to `eta_min` again and again, each `t_mult` times as long as the last
    /// (<https://arxiv.org/abs/1608.03983>). As `CosineAnnealingWarmRestarts`. The step at which a cosine would arrive at
    /// `eta_min` is the first of the next.
    #[cfg_attr(feature = "serde", serde(rename = "CosineAnnealingWarmRestarts"))]
    CosineWarmRestarts {
        /// The first learning rate of each cosine.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// Steps in the first, at least 1. PyTorch's `T_0`.
        #[cfg_attr(feature = "serde", serde(rename = "T_0"))]
        t_0: u64,
        /// How many times as many there are in the next, at least 1. PyTorch's `T_mult`, by default 1.
        #[cfg_attr(feature = "serde", serde(rename = "T_mult", default = "pytorch::t_mult"))]
        t_mult: u64,
        /// What they fall to, in `[0, lr]`. By default 0.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default))]
        eta_min: f64,
    },
    /// Up, then down below where it began. As `OneCycleLR`, but it stays at the end.
    #[cfg_attr(feature = "serde", serde(rename = "OneCycleLR"))]
    OneCycle(OneCycle),
    /// Up and down again and again. As `CyclicLR`.
    #[cfg_attr(feature = "serde", serde(rename = "CyclicLR"))]
    Cyclic(Cyclic),
    /// `lr * sqrt(timescale / (timescale + step))`. With `.warmup(timescale)` before it, the schedule of the transformer
    /// (Vaswani et al., *Attention Is All You Need*, <https://arxiv.org/abs/1706.03762>), whose peak is `lr`.
    InverseSqrt {
        /// The first learning rate.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// After three times as many steps it has halved; at least 1.
        timescale: u64,
    },
    /// A line up from 0, then `lr`, then down to `eta_min`, which stays (Hu et al.,
    /// <https://arxiv.org/abs/2404.06395>).
    WarmupStableDecay {
        /// The largest learning rate.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// Steps up.
        warmup_steps: u64,
        /// Steps at `lr`.
        stable_steps: u64,
        /// Steps down.
        decay_steps: u64,
        /// The last learning rate, in `[0, lr]`. By default 0.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default))]
        eta_min: f64,
        /// The shape of the way down. By default [`Anneal::Linear`].
        #[cfg_attr(feature = "serde", serde(default))]
        decay: Anneal,
    },
    /// A line up to the first learning rate of another schedule, which then begins (Goyal et al.,
    /// <https://arxiv.org/abs/1706.02677>). As `SequentialLR` of a `LinearLR` and the other.
    Warmup {
        /// Steps on the line.
        steps: u64,
        /// What step 0 has of the first learning rate of the other, in `[0, 1]`. By default 0.
        #[cfg_attr(feature = "serde", serde(with = "crate::number", default))]
        start_factor: f64,
        /// The other.
        then: Box<Self>,
    },
    /// One schedule after the other, each from its own step 0. As `SequentialLR`.
    Sequence {
        /// Each with its number of steps; the last goes on after them. At least one.
        parts: Vec<(Self, u64)>,
    },
    /// `lr` times what each of several schedules gives. As `ChainedScheduler` of those that multiply the last learning
    /// rate; there, `CyclicLR`, `OneCycleLR` and `CosineAnnealingWarmRestarts` put their own in its place, and
    /// `CosineAnnealingLR` does not multiply its `eta_min`.
    #[cfg_attr(feature = "serde", serde(rename = "ChainedScheduler"))]
    Chained {
        /// The learning rate that the factors multiply.
        #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
        lr: f64,
        /// Schedules whose learning rates are the factors, so that their own `lr` is mostly 1. At least one.
        parts: Vec<Self>,
    },
}

impl From<OneCycle> for Schedule {
    fn from(cycle: OneCycle) -> Self {
        Self::OneCycle(cycle)
    }
}

impl From<Cyclic> for Schedule {
    fn from(cycles: Cyclic) -> Self {
        Self::Cyclic(cycles)
    }
}

impl Schedule {
    /// `lr` at every step: a `factor` of 1, and no first steps.
    #[must_use]
    pub const fn constant(lr: f64) -> Self {
        Self::Constant { lr, factor: 1.0, total_iters: 0 }
    }

    /// A line from `lr` to 0: a `start_factor` of 1, an `end_factor` of 0.
    #[must_use]
    pub const fn linear(lr: f64, total_iters: u64) -> Self {
        Self::Linear { lr, start_factor: 1.0, end_factor: 0.0, total_iters }
    }

    /// Times `gamma` every `step_size` steps.
    #[must_use]
    pub const fn step(lr: f64, step_size: u64, gamma: f64) -> Self {
        Self::Step { lr, step_size, gamma }
    }

    /// Times `gamma` at each milestone.
    #[must_use]
    pub fn multi_step(lr: f64, milestones: impl Into<Vec<u64>>, gamma: f64) -> Self {
        Self::MultiStep { lr, milestones: milestones.into(), gamma }
    }

    /// Times `gamma` every step.
    #[must_use]
    pub const fn exponential(lr: f64, gamma: f64) -> Self {
        Self::Exponential { lr, gamma }
    }

    /// A polynomial of the degree `power` from `lr` to 0.
    #[must_use]
    pub const fn polynomial(lr: f64, total_iters: u64, power: f64) -> Self {
        Self::Polynomial { lr, total_iters, power }
    }

    /// Half a cosine from `lr` to an `eta_min` of 0.
    #[must_use]
    pub const fn cosine(lr: f64, t_max: u64) -> Self {
        Self::Cosine { lr, t_max, eta_min: 0.0 }
    }

    /// Half a cosine from `lr` to an `eta_min` of 0 again and again, each `t_mult` times as long as the last.
    #[must_use]
    pub const fn cosine_warm_restarts(lr: f64, t_0: u64, t_mult: u64) -> Self {
        Self::CosineWarmRestarts { lr, t_0, t_mult, eta_min: 0.0 }
    }

    /// [`OneCycle::new`].
    #[must_use]
    pub const fn one_cycle(max_lr: f64, total_steps: u64) -> Self {
        Self::OneCycle(OneCycle::new(max_lr, total_steps))
    }

    /// [`Cyclic::new`].
    #[must_use]
    pub const fn cyclic(base_lr: f64, max_lr: f64, step_size_up: u64) -> Self {
        Self::Cyclic(Cyclic::new(base_lr, max_lr, step_size_up))
    }

    /// As the inverse square root of the step, from `lr` at step 0, which counts as the `timescale`-th.
    #[must_use]
    pub const fn inverse_sqrt(lr: f64, timescale: u64) -> Self {
        Self::InverseSqrt { lr, timescale }
    }

    /// A line from 0 to `lr`, then `lr`, then a line to an `eta_min` of 0, each for its number of steps.
    #[must_use]
    pub const fn warmup_stable_decay(lr: f64, warmup: u64, stable: u64, decay: u64) -> Self {
        Self::WarmupStableDecay {
            lr,
            warmup_steps: warmup,
            stable_steps: stable,
            decay_steps: decay,
            eta_min: 0.0,
            decay: Anneal::Linear,
        }
    }

    /// One schedule after the other, each with its number of steps. The last goes on after them.
    ///
    /// ```
    /// use lanestep::Schedule;
    /// let schedule = Schedule::sequence([(Schedule::constant(0.5), 10), (Schedule::cosine(0.25, 90), 90)]);
    /// assert_eq!([9, 10, 99, 100].map(|step| schedule.lr(step) > 0.1), [true, true, false, false]);
    /// ```
    #[must_use]
    pub fn sequence(parts: impl Into<Vec<(Self, u64)>>) -> Self {
        Self::Sequence { parts: parts.into() }
    }

    /// `lr` times the learning rates of all `parts`, which are mostly made with an `lr` of 1.
    ///
    /// ```
    /// use lanestep::Schedule;
    /// let quarter = Schedule::Constant { lr: 1.0, factor: 0.25, total_iters: 2 };
    /// let schedule = Schedule::chained(0.5, [quarter, Schedule::exponential(1.0, 0.5)]);
    /// assert_eq!([0, 1, 2, 3].map(|step| schedule.lr(step)), [0.125, 0.0625, 0.125, 0.0625]);
    /// ```
    #[must_use]
    pub fn chained(lr: f64, parts: impl Into<Vec<Self>>) -> Self {
        Self::Chained { lr, parts: parts.into() }
    }

    /// This schedule after `steps` steps on a line from 0 to its first learning rate.
    ///
    /// The line comes before the schedule's own steps, so `cosine(lr, 900).warmup(100)` ends at step 1000. Step 0 has
    /// the learning rate 0; for another, make a [`Schedule::Warmup`] with its `start_factor`.
    #[must_use]
    pub fn warmup(self, steps: u64) -> Self {
        Self::Warmup { steps, start_factor: 0.0, then: Box::new(self) }
    }

    /// The learning rate of a step, of which 0 is the first.
    ///
    /// Every step has one. It means nothing if [`check`](Self::check) fails.
    #[must_use]
    pub fn lr(&self, step: u64) -> f64 {
        match *self {
            Self::Constant { lr, factor, total_iters } => {
                if step < total_iters {
                    lr * factor
                } else {
                    lr
                }
            }
            Self::Linear { lr, start_factor, end_factor, total_iters } => {
                Anneal::Linear.at(lr * start_factor, lr * end_factor, part(step, total_iters))
            }
            Self::Step { lr, step_size, gamma } => power::decayed(lr, gamma, step / step_size.max(1)),
            Self::MultiStep { lr, ref milestones, gamma } => {
                let passed = milestones.iter().filter(|&&milestone| milestone <= step).count();
                power::decayed(lr, gamma, passed as u64)
            }
            Self::Exponential { lr, gamma } => power::decayed(lr, gamma, step),
            Self::Polynomial { lr, total_iters, power } => {
                let left = part(total_iters.saturating_sub(step), total_iters.max(1));
                lr * power::real(left, power)
            }
            Self::Cosine { lr, t_max, eta_min } => Anneal::Cos.at(lr, eta_min, part(step, t_max)),
            Self::CosineWarmRestarts { lr, t_0, t_mult, eta_min } => {
                let (mut t_cur, mut t_i) = (step, t_0.max(1));
                if t_mult <= 1 {
                    t_cur %= t_i;
                }
                while t_cur >= t_i {
                    t_cur -= t_i;
                    t_i = t_i.saturating_mul(t_mult);
                }
                Anneal::Cos.at(lr, eta_min, part(t_cur, t_i))
            }
            Self::OneCycle(ref cycle) => cycle.lr(step),
            Self::Cyclic(ref cycles) => cycles.lr(step),
            Self::InverseSqrt { lr, timescale } => {
                let timescale = timescale as f64;
                lr * (timescale / (timescale + step as f64)).sqrt()
            }
            Self::WarmupStableDecay { lr, warmup_steps, stable_steps, decay_steps, eta_min, decay } => {
                if step < warmup_steps {
                    Anneal::Linear.at(0.0, lr, part(step, warmup_steps))
                } else {
                    let decaying = (step - warmup_steps).saturating_sub(stable_steps);
                    decay.at(lr, eta_min, part(decaying, decay_steps))
                }
            }
            Self::Warmup { steps, start_factor, ref then } => {
                if step < steps {
                    let peak = then.lr(0);
                    Anneal::Linear.at(peak * start_factor, peak, part(step, steps))
                } else {
                    then.lr(step - steps)
                }
            }
            Self::Sequence { ref parts } => {
                let Some(((last, _), before)) = parts.split_last() else { return 0.0 };
                let mut step = step;
                for (schedule, steps) in before {
                    if step < *steps {
                        return schedule.lr(step);
                    }
                    step -= steps;
                }
                last.lr(step)
            }
            Self::Chained { lr, ref parts } => {
                power::product(iter::once(lr).chain(parts.iter().map(|part| part.lr(step))))
            }
        }
    }

    /// Whether every option is in its range, those of the schedules inside too. NaN and infinity, which JSON has no
    /// words for, are in none.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Constant { lr, factor, total_iters: _ } => {
                range::non_negative("lr", lr)?;
                range::unit("factor", factor)
            }
            Self::Linear { lr, start_factor, end_factor, total_iters } => {
                range::non_negative("lr", lr)?;
                range::unit("start_factor", start_factor)?;
                range::unit("end_factor", end_factor)?;
                at_least_one("total_iters", total_iters)
            }
            Self::Step { lr, step_size, gamma } => {
                range::non_negative("lr", lr)?;
                at_least_one("step_size", step_size)?;
                range::non_negative("gamma", gamma)
            }
            Self::MultiStep { lr, milestones: _, gamma } | Self::Exponential { lr, gamma } => {
                range::non_negative("lr", lr)?;
                range::non_negative("gamma", gamma)
            }
            Self::Polynomial { lr, total_iters, power } => {
                range::non_negative("lr", lr)?;
                at_least_one("total_iters", total_iters)?;
                range::non_negative("power", power)
            }
            Self::Cosine { lr, t_max, eta_min } => {
                range::non_negative("lr", lr)?;
                at_least_one("t_max", t_max)?;
                at_most_lr("eta_min", eta_min, lr)
            }
            Self::CosineWarmRestarts { lr, t_0, t_mult, eta_min } => {
                range::non_negative("lr", lr)?;
                at_least_one("t_0", t_0)?;
                at_least_one("t_mult", t_mult)?;
                at_most_lr("eta_min", eta_min, lr)
            }
            Self::OneCycle(ref cycle) => cycle.check(),
            Self::Cyclic(ref cycles) => cycles.check(),
            Self::InverseSqrt { lr, timescale } => {
                range::non_negative("lr", lr)?;
                at_least_one("timescale", timescale)
            }
            Self::WarmupStableDecay { lr, eta_min, .. } => {
                range::non_negative("lr", lr)?;
                at_most_lr("eta_min", eta_min, lr)
            }
            Self::Warmup { steps: _, start_factor, ref then } => {
                range::unit("start_factor", start_factor)?;
                then.check()
            }
            Self::Sequence { ref parts } => {
                at_least_one("parts", parts.len() as u64)?;
                parts.iter().try_for_each(|(schedule, _)| schedule.check())
            }
            Self::Chained { lr, ref parts } => {
                range::non_negative("lr", lr)?;
                at_least_one("parts", parts.len() as u64)?;
                parts.iter().try_for_each(Self::check)
            }
        }
    }
}

fn at_least_one(name: &'static str, value: u64) -> Result<(), Error> {
    range::check(name, value as f64, value >= 1, "at least 1")
}

fn at_most_lr(name: &'static str, value: f64, lr: f64) -> Result<(), Error> {
    range::check(name, value, (0.0..=lr).contains(&value), "in [0, lr]")
}
