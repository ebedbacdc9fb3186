//! QHAdam: Adam that steps by blends of its averages with the present gradient and its square.
//!
//! ```text
//! k1 = 1 - (1 - beta1)/(1 - beta1^t)           k2 = 1 - (1 - beta2)/(1 - beta2^t)
//! m = k1*m + (1 - k1)*g                        v = k2*v + (1 - k2)*(g*g)
//! a = nu1*m + (1 - nu1)*g                      w = nu2*v + (1 - nu2)*(g*g)
//! p = p - (lr*a) / (sqrt(w) + eps)
//! ```
//!
//! This follows the authors' code (<https://github.com/facebookresearch/qhoptim>): its averages begin as plain means and
//! need no correction, so the state is what the paper calls Adam's corrected averages. With both `nus` 1 the step is
//! Adam's, with `nus.0` 0 that of RMSprop with correction. The authors recommend `nus` of (0.7, 1) and `betas` of
//! (0.995, 0.999).
//!
//! Ma & Yarats, *Quasi-hyperbolic momentum and Adam for deep learning*, <https://arxiv.org/abs/1810.06801>.

use super::{Rule, bias_correction, range};
use crate::formula::{Blend, Factor, square};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// QHAdam, as its authors' `qhoptim.pyt.QHAdam`, whose `decouple_weight_decay` is `decoupled_weight_decay` here. State:
    /// `exp_avg`, `exp_avg_sq`, both corrected.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, QHAdam};
    /// let rule = QHAdam { lr: 0.5, nus: (0.5, 0.0), eps: 0.0, ..QHAdam::default() }; // nus.1 = 0: divides by |g|
    /// let mut optimizer = Optimizer::new(rule, 1)?;
    /// let mut params = [1.0];
    /// optimizer.step(&mut params, &[4.0])?; // 0.5 * (0.5 * 4 + 0.5 * 4) / 4
    /// assert_eq!((params, optimizer.state("exp_avg")), ([0.5], Some(&[4.0][..])));
    /// # Ok(()) }
    /// ```
    pub struct QHAdam {
        /// How much of themselves the two averages keep in the long run, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// The shares of the two averages in what is stepped by, each in `[0, 1]`; the rest is the gradient itself, and its
        /// square.
        pub nus: (f64, f64) = (1.0, 1.0),
        /// Added to the root. Keep it above 1e-16: a gradient under about 1e-18 does not enter the mean square.
        pub eps: f64 = 1e-8,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step<const SQUARES: bool> {
    mean: Blend,
    mean_square: Blend,
    direction: Blend,
    scale: Blend,
    lr: Factor,
    eps: f32,
}

impl<const SQUARES: bool> Formula<2> for Step<SQUARES> {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, v]: [L; 2]) -> (L, [L; 2]) {
        let square = square(g);
        let (m, v) = (self.mean.update(m, g), self.mean_square.update(v, square));
        let w = if SQUARES { self.scale.update(v, square) } else { v };
        (p - self.lr.times(self.direction.update(m, g)) / (w.sqrt() + self.eps), [m, v])
    }
}

impl QHAdam {
    fn step<const SQUARES: bool>(&self, t: u64) -> Step<SQUARES> {
        let kept = |beta| 1.0 - (1.0 - beta) / bias_correction(beta, t);
        Step {
            mean: Blend::new(kept(self.betas.0)),
            mean_square: Blend::new(kept(self.betas.1)),
            direction: Blend::new(self.nus.0),
            scale: Blend::new(self.nus.1),
            lr: Factor::new(self.lr),
            eps: self.eps as f32,
        }
    }
}

impl Rule for QHAdam {
    fn slots(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    /// Adam's averages start from zero and are corrected in the step; these are corrected as they are kept.
    fn meaning(&self, slot: &'static str) -> &'static str {
        if slot == "exp_avg" { "corrected exp_avg" } else { "corrected exp_avg_sq" }
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::unit("nus.0", self.nus.0)?;
        range::unit("nus.1", self.nus.1)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        // None of the square, which may be infinite.
        if self.nus.1 < 1.0 {
            with.formula(self.step::<true>(t))
        } else {
            with.formula(self.step::<false>(t))
        }
    }
}
