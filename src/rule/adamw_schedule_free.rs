//! Schedule-free AdamW: [schedule-free SGD](super::sgd_schedule_free) along Adam's gradient over its root mean square.
//!
//! ```text
//! s = min(1, t/warmup_steps)                   c = s^2 / (s(1)^2 + ... + s(t)^2)
//! z is y before the first step
//! v = v*beta2 + ((1 - beta2)*g)*g
//! d = sqrt(1 - beta2^t)
//! u = (d*g)/(sqrt(v) + eps*d)                  decoupled:  u = u + weight_decay*y
//! y = y + c*(z - y) - (lr*s*(1 - beta1*(1 - c)))*u
//! z = z - (lr*s)*u
//! ```
//!
//! `beta1` is not of an average of gradients, of which there is none: it is how near the average of the parameters gradients
//! are taken. That average is what one evaluates and ships ([`AdamWScheduleFree::average`]). Of learning rates that are
//! set step by step, of warm-up, and of who sees `y` alone, the same holds as for [SGD](super::sgd_schedule_free).
//!
//! Decay is taken at `y` and enters the step of both `y` and `z`, as in the authors' code
//! (<https://github.com/facebookresearch/schedule_free>); shrinking `y` alone would tear it from `z` and the average. The
//! root is corrected for its start from zero, as there since version 1.3; before, the learning rate was, and with it the
//! weights of the average. Its `inner_momentum` is not here.
//!
//! Defazio et al., *The Road Less Scheduled*, <https://arxiv.org/abs/2405.15682>.

use super::schedule_free::{Both, average};
use super::{Rule, Shared, bias_correction, range};
use crate::formula::{AverageSquare, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Schedule-free AdamW, as its authors' `schedulefree.AdamWScheduleFree`. State: `z`, `exp_avg_sq`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{AdamWScheduleFree, Optimizer};
    /// let rule = AdamWScheduleFree { lr: 0.1, ..AdamWScheduleFree::default() };
    /// let mut optimizer = Optimizer::new(rule, 1)?;
    /// let mut params = [0.0]; // train with these
    /// for _ in 0..300 {
    ///     let gradients = [params[0] - 1.0];
    ///     optimizer.step(&mut params, &gradients)?;
    /// }
    /// let mut average = [0.0]; // evaluate and ship these
    /// rule.average(&params, optimizer.state("z").unwrap_or_default(), &mut average)?;
    /// assert!((average[0] - 1.0).abs() < 0.01);
    /// # Ok(()) }
    /// ```
    pub struct AdamWScheduleFree {
        /// How near the average gradients are taken, in `(0, 1)`, and how much of itself the mean square keeps, in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root. In the mean square a gradient counts as at least about 3e-18, so that this may be 0.
        pub eps: f64 = 1e-8,
        /// How many steps the learning rate takes to grow from zero. Not negative.
        pub warmup_steps: f64 = 0.0,
    }
    shared: lr = 2.5e-3, weight_decay = 0.0, decoupled_weight_decay = true;
}

#[derive(Clone, Copy)]
struct Step<const FIRST: bool> {
    square: AverageSquare,
    correction: Factor,
    eps: f32,
    decay: Factor,
    both: Both<FIRST>,
}

impl<const FIRST: bool> Formula<2> for Step<FIRST> {
    const NORMAL: [bool; 2] = [false, true];

    #[inline(always)]
    fn update<L: Lane>(&self, y: L, g: L, [z, v]: [L; 2]) -> (L, [L; 2]) {
        let v = self.square.update(v, g);
        let along = self.correction.times_over(g, v.sqrt() + self.eps);
        let (y, z) = self.both.step(y, z, along + self.decay.times(y));
        (y, [z, v])
    }
}

impl AdamWScheduleFree {
    /// Writes the average of all points so far to `x`: what the authors' `eval()` makes of the parameters. `y` are the
    /// parameters as the last step left them, `z` is the state of that name. It means nothing before the first step.
    ///
    /// # Errors
    /// [`Error::Length`] if `z` or `x` has not as many elements as `y`. Nothing has been written then.
    pub fn average(&self, y: &[f32], z: &[f32], x: &mut [f32]) -> Result<(), Error> {
        average(self.betas.0, y, z, x)
    }

    fn step<const FIRST: bool>(&self, t: u64) -> Step<FIRST> {
        let (beta1, beta2) = self.betas;
        let root = bias_correction(beta2, t).sqrt();
        let decay = if self.decoupled_weight_decay { self.weight_decay } else { 0.0 };
        Step {
            square: AverageSquare::new(beta2),
            correction: Factor::new(root),
            eps: (self.eps * root) as f32,
            decay: Factor::new(decay),
            both: Both::new(beta1, self.lr, self.warmup_steps, t),
        }
    }
}

impl Rule for AdamWScheduleFree {
    fn slots(&self) -> &'static [&'static str] {
        &["z", "exp_avg_sq"]
    }

    /// Neither goes on without the other. With the squares of Adam, the count of steps would go on too, and `z` start from
    /// zero instead of the parameters; with the `z` of SGD, the squares would start from zero and be taken for full.
    fn meaning(&self, slot: &'static str) -> &'static str {
        if slot == "z" { "z beside squares" } else { "average of squares beside z" }
    }

    fn check(&self) -> Result<(), Error> {
        Shared::from(self).check()?;
        range::inside("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)?;
        range::non_negative("warmup_steps", self.warmup_steps)
    }

    // Decoupled decay is in the step.
    shared_options!(shared => shared.without_decoupled());

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        if t == 1 { with.formula(self.step::<true>(t)) } else { with.formula(self.step::<false>(t)) }
    }
}
