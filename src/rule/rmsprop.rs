//! RMSprop: the gradient divided by a running root mean square of itself.
//!
//! ```text
//! v = v*alpha + ((1 - alpha)*g)*g
//! plain:      r = sqrt(v) + eps
//! centered:   a = a + (1 - alpha)*(g - a) ;  r = sqrt(v - a*a) + eps
//! momentum == 0:   p = p - (lr*g)/r
//! momentum != 0:   b = b*momentum + g/r ;  p = p - lr*b
//! ```
//!
//! `eps` stands outside the root, as in PyTorch; TensorFlow, optax and others have it inside. The centered variance
//! `v - a*a` is not kept from falling below zero, and its root is NaN then, as in PyTorch; but a subnormal one counts as
//! zero.
//!
//! Tieleman & Hinton, *Lecture 6.5: RMSProp*, COURSERA Neural Networks for Machine Learning, 2012. Centered: Graves,
//! *Generating Sequences With Recurrent Neural Networks*, <https://arxiv.org/abs/1308.0850>.

use super::{Rule, Shared, range, shared::hyperparameters};
use crate::formula::{Average, AverageSquare, Factor, square};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// RMSprop, as `torch.optim.RMSprop`. State: `square_avg`, with momentum `momentum_buffer`, centered `grad_avg`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Optimizer, RmsProp};
    /// let mut optimizer = Optimizer::new(RmsProp { centered: true, ..RmsProp::default() }, 2)?;
    /// let mut params = [1.0, -1.0];
    /// optimizer.step(&mut params, &[0.5, -0.5])?;
    /// assert_eq!(params[0], -params[1]);
    /// assert!(params[0] < 1.0 && optimizer.state("grad_avg").is_some());
    /// # Ok(()) }
    /// ```
    pub struct RmsProp {
        /// How much of itself the mean square keeps, in `[0, 1)`.
        pub alpha: f64 = 0.99,
        /// Added to the root. Keep it above 1e-16: a gradient under about 1e-18 does not enter the mean square.
        pub eps: f64 = 1e-8,
        /// How much of itself the buffer of updates keeps; 0 is no buffer. Not negative.
        pub momentum: f64 = 0.0,
        /// Whether to divide by the deviation from the mean gradient instead of the root mean square.
        pub centered: bool = false,
    }
    shared: lr = 1e-2, weight_decay = 0.0, decoupled_weight_decay = false;
}

/// The formula, with and without momentum and mean. A variant hands in any lane for a slot it does not have, and does
/// not take it back.
#[derive(Clone, Copy)]
struct Step<const MOMENTUM: bool, const CENTERED: bool, const FROM_G: bool> {
    lr: Factor,
    square: AverageSquare,
    mean: Average<FROM_G>,
    momentum: Factor,
    eps: f32,
}

impl<const MOMENTUM: bool, const CENTERED: bool, const FROM_G: bool> Step<MOMENTUM, CENTERED, FROM_G> {
    #[inline(always)]
    fn all<L: Lane>(&self, p: L, g: L, [v, mut b, mut a]: [L; 3]) -> (L, [L; 3]) {
        let v = self.square.update(v, g);
        let mut mean_square = v;
        if CENTERED {
            a = self.mean.update(a, g);
            mean_square = (v - square(a)).flush();
        }
        let root = mean_square.sqrt() + self.eps;
        if MOMENTUM {
            b = self.momentum.times(b) + g.flush() / root;
            (p - self.lr.times(b), [v, b, a])
        } else {
            (p - self.lr.times(g) / root, [v, b, a])
        }
    }
}

impl<const FROM_G: bool> Formula<1> for Step<false, false, FROM_G> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [v]: [L; 1]) -> (L, [L; 1]) {
        let (p, [v, _, _]) = self.all(p, g, [v; 3]);
        (p, [v])
    }
}

impl<const FROM_G: bool> Formula<2> for Step<true, false, FROM_G> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [v, b]: [L; 2]) -> (L, [L; 2]) {
        let (p, [v, b, _]) = self.all(p, g, [v, b, v]);
        (p, [v, b])
    }
}

impl<const FROM_G: bool> Formula<2> for Step<false, true, FROM_G> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [v, a]: [L; 2]) -> (L, [L; 2]) {
        let (p, [v, _, a]) = self.all(p, g, [v, v, a]);
        (p, [v, a])
    }
}

impl<const FROM_G: bool> Formula<3> for Step<true, true, FROM_G> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, s: [L; 3]) -> (L, [L; 3]) {
        self.all(p, g, s)
    }
}

impl RmsProp {
    fn step<const MOMENTUM: bool, const CENTERED: bool, const FROM_G: bool>(
        &self,
    ) -> Step<MOMENTUM, CENTERED, FROM_G> {
        Step {
            lr: Factor::new(self.lr),
            square: AverageSquare::new(self.alpha),
            mean: Average::new(self.alpha),
            momentum: Factor::new(self.momentum),
            eps: self.eps as f32,
        }
    }
}

impl Rule for RmsProp {
    fn slots(&self) -> &'static [&'static str] {
        match (self.momentum != 0.0, self.centered) {
            (false, false) => &["square_avg"],
            (true, false) => &["square_avg", "momentum_buffer"],
            (false, true) => &["square_avg", "grad_avg"],
            (true, true) => &["square_avg", "momentum_buffer", "grad_avg"],
        }
    }

    /// Its buffer is of updates, not of gradients. Its mean goes together only with squares of the same `alpha`, or the
    /// variance would not be one.
    fn meaning(&self, slot: &'static str) -> &'static str {
        match slot {
            "square_avg" => "exp_avg_sq",
            "momentum_buffer" => "buffer of updates",
            other => other,
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("alpha", self.alpha)?;
        range::non_negative("eps", self.eps)?;
        range::non_negative("momentum", self.momentum)
    }

    fn shared(&self) -> Shared {
        self.into()
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        match (self.momentum != 0.0, self.centered, Average::from_x(self.alpha)) {
            (false, false, _) => with.formula(self.step::<false, false, false>()),
            (true, false, _) => with.formula(self.step::<true, false, false>()),
            (false, true, false) => with.formula(self.step::<false, true, false>()),
            (false, true, true) => with.formula(self.step::<false, true, true>()),
            (true, true, false) => with.formula(self.step::<true, true, false>()),
            (true, true, true) => with.formula(self.step::<true, true, true>()),
        }
    }
}
