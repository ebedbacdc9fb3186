//! Averaged stochastic gradient descent.
//!
//! ```text
//! eta = lr/(1 + lambd*lr*(t - 1))^alpha        mu = 1/max(1, t - 1 - t0)
//! p = p - (lambd*eta)*p - eta*g
//! ax = p while mu is 1, else ax = ax + (p - ax)*mu
//! ```
//!
//! The average `ax` is what one wants in the end; `p` is where the gradients are taken. It follows `p` up to step `t0`
//! and is the mean of all `p` from there on. PyTorch keeps `eta` and `mu` as state, computed at the end of the step
//! before; here they follow from `t`, so that a learning rate counts from the step it is set for, not from the next. Its
//! `foreach` path computes another `eta`; this is the one of its single-tensor path.
//!
//! Polyak & Juditsky, *Acceleration of Stochastic Approximation by Averaging*, SIAM J. Control Optim. 30(4), 1992,
//! <https://doi.org/10.1137/0330046>.

use super::{Rule, range};
use crate::formula::Factor;
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Averaged stochastic gradient descent, as `torch.optim.ASGD`. State: `ax`, the average of the parameters.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Asgd, Optimizer};
    /// let mut optimizer = Optimizer::new(Asgd { lr: 0.5, lambd: 0.0, t0: 0.0, ..Asgd::default() }, 1)?;
    /// let mut params = [1.0];
    /// for gradient in [1.0, -1.0, 1.0] {
    ///     optimizer.step(&mut params, &[gradient])?; // to 0.5, 1 and 0.5
    /// }
    /// assert_eq!(optimizer.state("ax"), Some(&[0.75][..])); // the mean of the last two
    /// # Ok(()) }
    /// ```
    pub struct Asgd {
        /// Strength of the decay that goes with the learning rate, and how fast that falls. Not negative.
        pub lambd: f64 = 1e-4,
        /// The power by which the learning rate falls. Not negative.
        pub alpha: f64 = 0.75,
        /// The step from which on parameters are averaged. Not negative.
        pub t0: f64 = 1e6,
    }
    shared: lr = 1e-2, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step<const AVERAGED: bool> {
    decay: Factor,
    lr: Factor,
    mu: Factor,
}

impl<const AVERAGED: bool> Formula<1> for Step<AVERAGED> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [ax]: [L; 1]) -> (L, [L; 1]) {
        let p = p - self.decay.times(p) - self.lr.times(g);
        (p, [if AVERAGED { ax + self.mu.times(p - ax) } else { p }])
    }
}

impl Rule for Asgd {
    fn slots(&self) -> &'static [&'static str] {
        &["ax"]
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::non_negative("lambd", self.lambd)?;
        range::non_negative("alpha", self.alpha)?;
        range::non_negative("t0", self.t0)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let before = t as f64 - 1.0;
        let eta = self.lr / libm::pow(1.0 + self.lambd * self.lr * before, self.alpha);
        let (decay, lr) = (Factor::new(self.lambd * eta), Factor::new(eta));
        if before - self.t0 > 1.0 {
            with.formula(Step::<true> { decay, lr, mu: Factor::new(1.0 / (before - self.t0)) })
        } else {
            with.formula(Step::<false> { decay, lr, mu: Factor::new(1.0) })
        }
    }
}
