//! Signum: steps by the sign of the momentum, or without it by that of the gradient, which is signSGD.
//!
//! ```text
//! momentum == 0:   p = p - lr*sign(g)
//! momentum != 0:   m = momentum*m + (1 - momentum)*g
//!                  p = p - lr*sign(m)
//! ```
//!
//! The buffer is an average, as in the paper (its Algorithm 2), MXNet and optax. Where others keep the sum
//! `momentum*m + g` it is `1/(1 - momentum)` times as large, and every step is the same. The sign of zero is zero.
//!
//! The authors' experiments (<https://github.com/jxbz/signSGD>) run on the Signum that they gave to MXNet. Its defaults are
//! kept here, its `wd` is `weight_decay`, and its `wd_lh` is `weight_decay` with `decoupled_weight_decay`.
//!
//! Bernstein, Wang, Azizzadenesheli & Anandkumar, *signSGD: Compressed Optimisation for Non-Convex Problems*,
//! <https://arxiv.org/abs/1802.04434>.

use super::{Rule, range};
use crate::formula::Blend;
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Signum, as `mxnet.optimizer.Signum`, and signSGD. State: with momentum, `momentum_buffer`, an average of gradients.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, Signum};
    /// let mut optimizer = Optimizer::new(Signum { lr: 0.5, ..Signum::default() }, 3)?;
    /// let mut params = [1.0; 3];
    /// optimizer.step(&mut params, &[1e-3, 0.0, -100.0])?;
    /// assert_eq!(params, [0.5, 1.0, 1.5]);
    /// # Ok(()) }
    /// ```
    pub struct Signum {
        /// How much of itself the average keeps, in `[0, 1)`; 0 is signSGD, which has no state.
        pub momentum: f64 = 0.9,
    }
    shared: lr = 1e-2, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Plain {
    lr: f32,
}

impl Formula<0> for Plain {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, []: [L; 0]) -> (L, [L; 0]) {
        (p - g.sign() * self.lr, [])
    }
}

/// Also Tiger's.
#[derive(Clone, Copy)]
pub(super) struct Momentum {
    pub(super) lr: f32,
    pub(super) mean: Blend,
}

impl Formula<1> for Momentum {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m]: [L; 1]) -> (L, [L; 1]) {
        let m = self.mean.update(m, g);
        (p - m.sign() * self.lr, [m])
    }
}

impl Rule for Signum {
    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum_buffer"] }
    }

    /// An average, not SGD's sum; and not Adam's, which goes together only with Adam's squares: beside some from zero, it
    /// would leap.
    fn meaning(&self, _slot: &'static str) -> &'static str {
        "average behind a sign"
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("momentum", self.momentum)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        let lr = (self.lr as f32).flush();
        if self.momentum == 0.0 {
            with.formula(Plain { lr })
        } else {
            with.formula(Momentum { lr, mean: Blend::new(self.momentum) })
        }
    }
}
