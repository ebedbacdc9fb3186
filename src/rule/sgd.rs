//! Stochastic gradient descent, with momentum and Nesterov's momentum.
//!
//! ```text
//! momentum == 0:   p = p - lr*g
//! momentum != 0:   b = b*momentum + (1 - dampening)*g        (the first step does not dampen)
//!                  p = p - lr*b                  or, nesterov,   p = p - lr*(g + momentum*b)
//! ```
//!
//! The buffer starts from zero and takes the first gradient whole, as PyTorch's does; other libraries dampen the
//! first gradient too. There is no state without momentum.
//!
//! Sutskever, Martens, Dahl & Hinton, *On the importance of initialization and momentum in deep learning*, ICML 2013,
//! <https://proceedings.mlr.press/v28/sutskever13.html>.

use super::{Rule, range};
use crate::formula::Factor;
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Stochastic gradient descent, as `torch.optim.SGD`. State: with momentum, `momentum_buffer`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, Sgd};
    /// let mut optimizer = Optimizer::new(Sgd { lr: 0.5, momentum: 0.9, ..Sgd::default() }, 1)?;
    /// let mut params = [1.0];
    /// optimizer.step(&mut params, &[1.0])?; // momentum_buffer = 1
    /// optimizer.step(&mut params, &[0.1])?; // momentum_buffer = 0.9 * 1 + 0.1
    /// assert_eq!(params, [0.0]);
    /// # Ok(()) }
    /// ```
    pub struct Sgd {
        /// How much of itself the buffer keeps; 0 is plain descent without a buffer. Not negative.
        pub momentum: f64 = 0.0,
        /// The share of the gradient that is left out of the buffer, in `[0, 1]`.
        pub dampening: f64 = 0.0,
        /// Whether to look ahead along the buffer; needs momentum and no dampening.
        pub nesterov: bool = false,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Plain {
    lr: Factor,
}

impl Formula<0> for Plain {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, []: [L; 0]) -> (L, [L; 0]) {
        (p - self.lr.times(g), [])
    }
}

#[derive(Clone, Copy)]
struct Momentum<const NESTEROV: bool> {
    lr: Factor,
    momentum: Factor,
    rest: Factor,
}

impl<const NESTEROV: bool> Formula<1> for Momentum<NESTEROV> {
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [b]: [L; 1]) -> (L, [L; 1]) {
        let b = self.momentum.times(b) + self.rest.times(g);
        let along = if NESTEROV { g + self.momentum.times(b) } else { b };
        (p - self.lr.times(along), [b])
    }
}

impl Rule for Sgd {
    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum_buffer"] }
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::non_negative("momentum", self.momentum)?;
        range::unit("dampening", self.dampening)?;
        if self.nesterov {
            range::check("momentum", self.momentum, self.momentum > 0.0, "above 0 with nesterov")?;
            range::check("dampening", self.dampening, self.dampening == 0.0, "0 with nesterov")?;
        }
        Ok(())
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let lr = Factor::new(self.lr);
        if self.momentum == 0.0 {
            return with.formula(Plain { lr });
        }
        let momentum = Factor::new(self.momentum);
        let rest = Factor::new(if t == 1 { 1.0 } else { 1.0 - self.dampening });
        if self.nesterov {
            with.formula(Momentum::<true> { lr, momentum, rest })
        } else {
            with.formula(Momentum::<false> { lr, momentum, rest })
        }
    }
}
