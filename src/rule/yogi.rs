//! Yogi: Adam whose mean square moves by at most the new square, so that it does not forget a large one at once.
//!
//! ```text
//! m = beta1*m + (1 - beta1)*g                  v = v - sign(v - g*g)*((1 - beta2)*(g*g))
//! c = sqrt(1 - beta2^t)
//! p = p - ((lr/(1 - beta1^t)*c)*m) / (sqrt(v) + eps*c)
//! (m and v are initial_accumulator before the first step)
//! ```
//!
//! The paper has no correction of the averages and leaves open where they start. This follows `torch_optimizer` and optax,
//! which agree: both start from `initial_accumulator`, and both are corrected as Adam's, as if they had started from zero.
//! TensorFlow's starts the momentum from zero and does not divide its `eps` by the correction. State starts from zero
//! here: the first step adds `initial_accumulator`.
//!
//! Zaheer, Reddi, Sachan, Kale & Kumar, *Adaptive Methods for Nonconvex Optimization*, NeurIPS 2018,
//! <https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization>.

use super::{Rule, bias_correction, range};
use crate::formula::{Blend, Factor, square};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Yogi, as `torch_optimizer.Yogi`. State: `exp_avg`, `exp_avg_sq`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, Yogi};
    /// let rule = Yogi { betas: (0.9, 0.75), initial_accumulator: 9.0, ..Yogi::default() };
    /// let mut optimizer = Optimizer::new(rule, 3)?;
    /// optimizer.step(&mut [1.0; 3], &[2.0, 3.0, 4.0])?;
    /// assert_eq!(optimizer.state("exp_avg_sq"), Some(&[8.0, 9.0, 13.0][..]));
    /// # Ok(()) }
    /// ```
    pub struct Yogi {
        /// How much of itself the momentum keeps, and what share of a new square the mean square does not move by, each in
        /// `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root; the paper finds a larger one than Adam's to do well. Keep it above 1e-16: a gradient under
        /// about 1e-18 does not move the mean square.
        pub eps: f64 = 1e-3,
        /// What momentum and mean square start from. Not negative.
        pub initial_accumulator: f64 = 1e-6,
    }
    shared: lr = 1e-2, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step {
    start: f32,
    mean: Blend,
    rest: Factor,
    lr: Factor,
    eps: f32,
}

impl Formula<2> for Step {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, v]: [L; 2]) -> (L, [L; 2]) {
        let (m, v, new) = (m + self.start, v + self.start, square(g));
        let m = self.mean.update(m, g);
        let v = v - (v - new).sign() * self.rest.times(new);
        (p - self.lr.times_over(m, v.sqrt() + self.eps), [m, v])
    }
}

impl Rule for Yogi {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    /// Adam's averages would go on here without the start, and its mean square falls faster than this one can.
    fn meaning(&self, slot: &'static str) -> &'static str {
        if slot == "exp_avg" { "Yogi's average" } else { "Yogi's mean square" }
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)?;
        range::non_negative("initial_accumulator", self.initial_accumulator)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let (beta1, beta2) = self.betas;
        let root = bias_correction(beta2, t).sqrt();
        with.formula(Step {
            start: if t == 1 { self.initial_accumulator as f32 } else { 0.0 },
            mean: Blend::new(beta1),
            rest: Factor::new(1.0 - beta2),
            lr: Factor::new(self.lr / bias_correction(beta1, t) * root),
            eps: (self.eps * root) as f32,
        })
    }
}
