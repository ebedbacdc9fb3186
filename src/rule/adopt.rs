//! ADOPT: Adam whose gradient is divided by the root mean square of the gradients before it.
//!
//! ```text
//! first step:   v = g*g, and p stays as it is, without decoupled decay too
//! later:        n = g/max(sqrt(v), eps)
//!               n = n clamped to [-c, c], c = (t - 1)^(1/4)              (c is infinite without clip)
//!               m = beta1*m + (1 - beta1)*n
//!               p = p - lr*m
//!               v = v*beta2 + ((1 - beta2)*g)*g
//! ```
//!
//! Adam divides a gradient by a root that the gradient itself is in, which biases the step: for some problems it goes the
//! wrong way unless `beta2` is close enough to 1. Here the two are apart, and it converges with any. The division comes
//! before the momentum, so that every gradient in it has the divisor of its own time.
//!
//! The first version of the paper did not clamp, as one gets with `clip: false`; a parameter whose first gradient was
//! nearly zero then flies off at its second step. The steps of the clamp are counted from the first that moves, as in the
//! authors' code (<https://github.com/iShohei220/adopt>), and `eps` is a lower bound, not a summand. Others differ:
//! timm's clamp is a power of 0.333.
//!
//! Taniguchi et al., *ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate*,
//! <https://arxiv.org/abs/2411.02853>.

use super::{Rule, Shared, range};
use crate::formula::{AverageSquare, Blend, Decoupled, Factor, square};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// ADOPT, as its authors' `adopt.ADOPT`, whose `decouple` is `decoupled_weight_decay`. State: `exp_avg`, the average
    /// of divided gradients, and `exp_avg_sq`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Adopt, Optimizer};
    /// let rule = Adopt { lr: 0.5, betas: (0.0, 0.9), ..Adopt::default() };
    /// let mut optimizer = Optimizer::new(rule, 1)?;
    /// let mut params = [1.0];
    /// optimizer.step(&mut params, &[4.0])?; // only looked at
    /// assert_eq!(params, [1.0]);
    /// optimizer.step(&mut params, &[-2.0])?; // half as large as the first: half of lr
    /// assert_eq!(params, [1.25]);
    /// # Ok(()) }
    /// ```
    pub struct Adopt {
        /// How much of themselves the averages of divided gradients and of squares keep, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.9999),
        /// The least root to divide by. Keep it above 0, which the first mean square is where the gradient is zero.
        pub eps: f64 = 1e-6,
        /// Whether to clamp a divided gradient to a magnitude of `(t - 1)^(1/4)` at step `t`.
        pub clip: bool = true,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct First;

impl Formula<2> for First {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, _]: [L; 2]) -> (L, [L; 2]) {
        (p, [m, square(g)])
    }
}

#[derive(Clone, Copy)]
struct Step {
    eps: f32,
    clip: f32,
    mean: Blend,
    lr: Factor,
    square: AverageSquare,
}

impl Formula<2> for Step {
    const NORMAL: [bool; 2] = [false, true];
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, v]: [L; 2]) -> (L, [L; 2]) {
        let root = v.sqrt().max(v.splat(self.eps));
        let m = self.mean.update(m, (g.flush() / root).clamp(-self.clip, self.clip));
        (p - self.lr.times(m), [m, self.square.update(v, g)])
    }
}

impl Rule for Adopt {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    /// Neither is Adam's: one is of divided gradients, and the other does not start from zero.
    fn meaning(&self, slot: &'static str) -> &'static str {
        if slot == "exp_avg" {
            "average of divided gradients"
        } else {
            "average of squares from the first on"
        }
    }

    fn check(&self) -> Result<(), Error> {
        Shared::from(self).check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)
    }

    // Decoupled decay is the rule's own affair, as it has none at the first step.
    shared_options!(shared => shared.without_decoupled());

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let then = Step {
            eps: self.eps as f32,
            clip: if self.clip { (t as f64 - 1.0).sqrt().sqrt() as f32 } else { f32::INFINITY },
            mean: Blend::new(self.betas.0),
            lr: Factor::new(self.lr),
            square: AverageSquare::new(self.betas.1),
        };
        if t == 1 {
            with.formula(First)
        } else if self.decoupled_weight_decay && self.weight_decay != 0.0 {
            with.formula(Decoupled { by: Factor::new(self.lr * self.weight_decay), then })
        } else {
            with.formula(then)
        }
    }
}
