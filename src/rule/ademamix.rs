//! `AdEMAMix`: Adam with a second, much slower average of the gradients beside the first.
//!
//! ```text
//! m1 = beta1*m1 + (1 - beta1)*g                m2 = b*m2 + (1 - b)*g
//! v = v*beta2 + ((1 - beta2)*g)*g
//! c = sqrt(1 - beta2^t)
//! p = p - ((lr/(1 - beta1^t)*c)*m1 + (lr*a*c)*m2) / (sqrt(v) + eps*c)
//! a = alpha*min(1, t/alpha_warmup)
//! b = exp(-1/s), s = (1 - r)*s1 + r*s3, r = t/beta3_warmup, s1 = -1/ln(beta1), s3 = -1/ln(beta3)
//! b = beta3 from step beta3_warmup on
//! ```
//!
//! The slow average remembers tens of thousands of steps, which the fast one cannot; it is not corrected for having
//! started from zero. Both warm-ups keep it from steering before it has seen much: `alpha` grows linearly, and so does
//! the length of the slow average's memory, from that of the fast one. That is the paper's schedule of `beta3` to the
//! letter, written in time constants. The authors' code for PyTorch (<https://github.com/apple/ml-ademamix>) adds 1e-8 to
//! the betas there, which makes a `beta3` of 0.9999 remember 1e-4 longer; theirs for JAX does not, nor does this.
//! The paper takes an `alpha` of 5 to 8 and both warm-ups as long as the training; the code's default is 2 and none.
//!
//! Pagliardini, Ablin & Grangier, *The `AdEMAMix` Optimizer: Better, Faster, Older*, <https://arxiv.org/abs/2409.03137>.

use super::{Rule, bias_correction, range};
use crate::formula::{AverageSquare, Blend, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// `AdEMAMix`, as its authors' `ademamix.AdEMAMix`. State: `exp_avg_fast`, `exp_avg_slow`, `exp_avg_sq`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{AdEmaMix, Optimizer};
    /// let rule = AdEmaMix { lr: 0.5, betas: (0.9, 0.999, 0.75), ..AdEmaMix::default() };
    /// let mut optimizer = Optimizer::new(rule, 1)?;
    /// let mut params = [1.0];
    /// optimizer.step(&mut params, &[8.0])?; // lr by the fast average, and alpha times a quarter of lr by the slow one
    /// assert!((params[0] - 0.25).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    pub struct AdEmaMix {
        /// How much of themselves the fast average, the mean square and the slow average keep, each in `[0, 1)`.
        pub betas: (f64, f64, f64) = (0.9, 0.999, 0.9999),
        /// Weight of the slow average in the step. Not negative.
        pub alpha: f64 = 2.0,
        /// How many steps the slow average's memory takes to grow to its length from the fast one's. Not negative.
        pub beta3_warmup: Option<f64> = None,
        /// How many steps `alpha` takes to grow from zero. Not negative.
        pub alpha_warmup: Option<f64> = None,
        /// Added to the root. In the mean square a gradient counts as at least about 3e-18, so that this may be 0.
        pub eps: f64 = 1e-8,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = true;
}

#[derive(Clone, Copy)]
struct Step {
    fast: Blend,
    slow: Blend,
    square: AverageSquare,
    lr: (Factor, Factor),
    eps: f32,
}

impl Formula<3> for Step {
    const NORMAL: [bool; 3] = [false, false, true];
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [fast, slow, v]: [L; 3]) -> (L, [L; 3]) {
        let (fast, slow, v) =
            (self.fast.update(fast, g), self.slow.update(slow, g), self.square.update(v, g));
        let along = self.lr.0.times(fast) + self.lr.1.times(slow);
        (p - along / (v.sqrt() + self.eps), [fast, slow, v])
    }
}

impl AdEmaMix {
    /// The present `alpha` and `beta3`.
    fn warmed_up(&self, t: u64) -> (f64, f64) {
        let share = |steps: Option<f64>| (t as f64 / steps.unwrap_or(0.0)).min(1.0);
        let (alpha, grown) = (self.alpha * share(self.alpha_warmup), share(self.beta3_warmup));
        let (beta1, _, mut beta3) = self.betas;
        if grown < 1.0 {
            let time = |beta| -1.0 / libm::log(beta);
            beta3 = libm::exp(-1.0 / ((1.0 - grown) * time(beta1) + grown * time(beta3)));
        }
        (alpha, beta3)
    }
}

impl Rule for AdEmaMix {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg_fast", "exp_avg_slow", "exp_avg_sq"]
    }

    /// The fast average is Adam's. The slow one may start from zero in the middle of a run, as the paper has it.
    fn meaning(&self, slot: &'static str) -> &'static str {
        if slot == "exp_avg_fast" { "exp_avg" } else { slot }
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::fraction("betas.2", self.betas.2)?;
        range::non_negative("alpha", self.alpha)?;
        range::non_negative("beta3_warmup", self.beta3_warmup.unwrap_or(0.0))?;
        range::non_negative("alpha_warmup", self.alpha_warmup.unwrap_or(0.0))?;
        range::non_negative("eps", self.eps)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let (beta1, beta2, _) = self.betas;
        let (alpha, beta3) = self.warmed_up(t);
        let root = bias_correction(beta2, t).sqrt();
        let (fast, slow) = (self.lr / bias_correction(beta1, t), self.lr * alpha);
        with.formula(Step {
            fast: Blend::new(beta1),
            slow: Blend::new(beta3),
            square: AverageSquare::new(beta2),
            lr: (Factor::new(fast * root), Factor::new(slow * root)),
            eps: (self.eps * root) as f32,
        })
    }
}
