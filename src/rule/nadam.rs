//! NAdam: Adam with Nesterov's momentum, which grows from step to step.
//!
//! ```text
//! m = m + (1 - beta1)*(g - m)                  v = v*beta2 + ((1 - beta2)*g)*g
//! u(t) = beta1*(1 - 0.5*0.96^(t*momentum_decay))
//! P(t) = u(1)*u(2)*...*u(t)
//! c = sqrt(1 - beta2^t)
//! a = (lr*(1 - u(t))/(1 - P(t))*c)*g + (lr*u(t+1)/(1 - P(t+1))*c)*m
//! p = p - a / (sqrt(v) + eps*c)
//! ```
//!
//! PyTorch divides every element three times, by `1 - beta2^t` and twice by the root; here once.
//!
//! PyTorch keeps the product `P` as a number of state in `f32`. Here it follows from `t` in `f64`, as everything of a step
//! does: the first factors are multiplied up until the product or the power of 0.96 is too small to be seen beside 1, and
//! from there on every factor is `beta1`, a power by squaring. That is 48 factors by default and never more than about
//! 2,300, however many steps have been taken.
//!
//! Dozat, *Incorporating Nesterov Momentum into Adam*, ICLR 2016 workshop, <https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>.

use super::correction::{NOTHING, power};
use super::{Rule, bias_correction, range};
use crate::formula::{Average, AverageSquare, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// NAdam, as `torch.optim.NAdam`. State: `exp_avg`, `exp_avg_sq`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{NAdam, Optimizer};
    /// let rule = NAdam { lr: 0.5, betas: (0.0, 0.999), ..NAdam::default() }; // no momentum: as Adam
    /// let mut optimizer = Optimizer::new(rule, 2)?;
    /// let mut params = [1.0, 1.0];
    /// optimizer.step(&mut params, &[100.0, 0.01])?;
    /// assert!(params.iter().all(|p| (p - 0.5).abs() < 1e-5));
    /// # Ok(()) }
    /// ```
    pub struct NAdam {
        /// How much of themselves the two averages keep, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root. In the mean square a gradient counts as at least about 3e-18, so that this may be 0.
        pub eps: f64 = 1e-8,
        /// How fast the momentum grows from about half of `betas.0` to all of it. Not negative.
        pub momentum_decay: f64 = 4e-3,
    }
    shared: lr = 2e-3, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step {
    mean: Average,
    square: AverageSquare,
    eps: f32,
    gradient: Factor,
    momentum: Factor,
}

impl Formula<2> for Step {
    const NORMAL: [bool; 2] = [false, true];
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, v]: [L; 2]) -> (L, [L; 2]) {
        let (m, v) = (self.mean.update(m, g), self.square.update(v, g));
        let along = self.gradient.times(g) + self.momentum.times(m);
        (p - along / (v.sqrt() + self.eps), [m, v])
    }
}

impl NAdam {
    /// The product of the momenta of all steps up to `t`.
    fn product(&self, t: u64) -> f64 {
        let by = libm::pow(0.96, self.momentum_decay);
        let (mut product, mut decay, mut i) = (1.0, 1.0, 0);
        while i < t && product > NOTHING && decay > NOTHING {
            decay *= by;
            product *= self.betas.0 * (1.0 - 0.5 * decay);
            i += 1;
        }
        product * power(self.betas.0, t - i)
    }
}

impl Rule for NAdam {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)?;
        range::non_negative("momentum_decay", self.momentum_decay)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let at = |t: f64| self.betas.0 * (1.0 - 0.5 * libm::pow(0.96, t * self.momentum_decay));
        let root = bias_correction(self.betas.1, t).sqrt();
        let (now, next, product) = (at(t as f64), at(t as f64 + 1.0), self.product(t));
        with.formula(Step {
            mean: Average::new(self.betas.0),
            square: AverageSquare::new(self.betas.1),
            eps: (self.eps * root) as f32,
            gradient: Factor::new(self.lr * (1.0 - now) / (1.0 - product) * root),
            momentum: Factor::new(self.lr * next / (1.0 - product * next) * root),
        })
    }
}
