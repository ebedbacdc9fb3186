//! Adamax: the running mean of the gradient over a running maximum of its magnitude.
//!
//! ```text
//! m = m + (1 - beta1)*(g - m)
//! u = max(u*beta2, |g| + eps)
//! p = p - (lr/(1 - beta1^t) * m) / u
//! ```
//!
//! It is Adam with the infinity norm in the place of the root mean square. A maximum needs no correction for starting
//! from zero. `eps` is added to the gradient's magnitude, before the maximum, as in PyTorch, and a NaN in either is a NaN in `u`.
//!
//! Kingma & Ba, *Adam: A Method for Stochastic Optimization*, section 7.1, <https://arxiv.org/abs/1412.6980>.

use super::{Rule, bias_correction, range};
use crate::formula::{Average, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Adamax, as `torch.optim.Adamax`. State: `exp_avg`, `exp_inf`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Adamax, Optimizer};
    /// let mut optimizer = Optimizer::new(Adamax { lr: 0.125, ..Adamax::default() }, 2)?;
    /// let mut params = [1.0, 1.0];
    /// optimizer.step(&mut params, &[100.0, 0.5])?; // the first step is lr, whatever the gradient's size
    /// assert!(params.iter().all(|p| (p - 0.875).abs() < 1e-6));
    /// assert_eq!(optimizer.state("exp_inf"), Some(&[100.0, 0.5][..]));
    /// # Ok(()) }
    /// ```
    pub struct Adamax {
        /// How much of themselves the average and the maximum keep, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the gradient's magnitude.
        pub eps: f64 = 1e-8,
    }
    shared: lr = 2e-3, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step {
    mean: Average,
    keep: Factor,
    lr: Factor,
    eps: f32,
}

impl Formula<2> for Step {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, u]: [L; 2]) -> (L, [L; 2]) {
        let m = self.mean.update(m, g);
        let u = self.keep.times(u).max(g.abs() + self.eps);
        (p - self.lr.times_over(m, u), [m, u])
    }
}

impl Rule for Adamax {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_inf"]
    }

    /// Adam's average goes together only with Adam's squares: beside some from zero, it would leap.
    fn meaning(&self, slot: &'static str) -> &'static str {
        if slot == "exp_avg" { "average beside exp_inf" } else { slot }
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        with.formula(Step {
            mean: Average::new(self.betas.0),
            keep: Factor::new(self.betas.1),
            lr: Factor::new(self.lr / bias_correction(self.betas.0, t)),
            eps: self.eps as f32,
        })
    }
}
