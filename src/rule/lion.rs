//! Lion: steps by the sign of a blend of momentum and gradient.
//!
//! ```text
//! c = beta1*m + (1 - beta1)*g
//! m = beta2*m + (1 - beta2)*g
//! p = p - lr*sign(c)
//! ```
//!
//! The sign of zero is zero, as in the authors' code, optax and bitsandbytes; DeepSpeed takes that of the floating-point
//! number and steps on a zero. Where PyTorch users copy AdamW's options, mind that Lion's authors take a learning rate 3 to
//! 10 times smaller and a `weight_decay` as much larger. Their code's defaults are kept here; DeepSpeed's `beta2` is 0.999,
//! optax's decay 1e-3.
//!
//! Chen et al., *Symbolic Discovery of Optimization Algorithms*, <https://arxiv.org/abs/2302.06675>.

use super::{Rule, range};
use crate::formula::Blend;
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Lion, as its authors' `lion_pytorch.Lion`. State: `exp_avg`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Lion, Optimizer};
    /// let mut optimizer = Optimizer::new(Lion { lr: 0.5, ..Lion::default() }, 3)?;
    /// let mut params = [1.0; 3];
    /// optimizer.step(&mut params, &[1e-3, 0.0, -100.0])?;
    /// assert_eq!(params, [0.5, 1.0, 1.5]);
    /// # Ok(()) }
    /// ```
    pub struct Lion {
        /// How much of the momentum is in the blend that is stepped by, and how much of itself it keeps, each in
        /// `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.99),
    }
    shared: lr = 1e-4, weight_decay = 0.0, decoupled_weight_decay = true;
}

#[derive(Clone, Copy)]
struct Step {
    direction: Blend,
    momentum: Blend,
    lr: f32,
}

impl Formula<1> for Step {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m]: [L; 1]) -> (L, [L; 1]) {
        (p - self.direction.update(m, g).sign() * self.lr, [self.momentum.update(m, g)])
    }
}

impl Rule for Lion {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg"]
    }

    /// Adam's average goes together only with Adam's squares: beside some from zero, it would leap.
    fn meaning(&self, _slot: &'static str) -> &'static str {
        "average behind a sign"
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        let (beta1, beta2) = self.betas;
        with.formula(Step {
            direction: Blend::new(beta1),
            momentum: Blend::new(beta2),
            lr: (self.lr as f32).flush(),
        })
    }
}
