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
//! `v - a*a` is not kept from falling below zero, where PyTorch's is not either: it is NaN then.
//!
//! Tieleman & Hinton, *Lecture 6.5: RMSProp*, COURSERA Neural Networks for Machine Learning, 2012. Centered: Graves,
//! *Generating Sequences With Recurrent Neural Networks*, <https://arxiv.org/abs/1308.0850>.

use super::{Rule, range, shared::shared};
use crate::formula::{Average, AverageSquare, Factor};
use crate::{Error, Formula, Lane, WithFormula};

/// RMSprop, as `torch.optim.RMSprop`.
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
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// How much of itself the mean square keeps.
    pub alpha: f64,
    /// Added to the root.
    pub eps: f64,
    /// How much of itself the buffer of updates keeps; 0 is no buffer.
    pub momentum: f64,
    /// Whether to divide by the deviation from the mean gradient instead of the root mean square.
    pub centered: bool,
    /// Strength of the decay towards zero.
    pub weight_decay: f64,
    /// Whether `weight_decay` shrinks the parameter itself instead of entering the gradient.
    pub decoupled_weight_decay: bool,
    /// Strength of the decay by the parameter's sign.
    pub l1_decay: f64,
    /// Largest magnitude that an element of the gradient keeps.
    pub clip_value: Option<f64>,
    /// Whether to climb.
    pub maximize: bool,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self {
            lr: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.0,
            centered: false,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            l1_decay: 0.0,
            clip_value: None,
            maximize: false,
        }
    }
}

/// The coefficients; each of the formulas takes the ones it needs.
#[derive(Clone, Copy)]
struct Step<const FROM_G: bool> {
    lr: Factor,
    square: AverageSquare,
    mean: Average<FROM_G>,
    momentum: Factor,
    eps: f32,
}

impl<const FROM_G: bool> Step<FROM_G> {
    #[inline(always)]
    fn root<L: Lane>(&self, g: L, v: L) -> (L, L) {
        let v = self.square.update(v, g);
        (v.sqrt() + self.eps, v)
    }

    #[inline(always)]
    fn deviation<L: Lane>(&self, g: L, v: L, a: L) -> (L, L, L) {
        /// The smallest number whose square is normal.
        const FLOOR: f32 = 1.0 / (1_u64 << 63) as f32;
        let v = self.square.update(v, g);
        let a = self.mean.update(a, g);
        let mean = a.zero_below(FLOOR);
        ((v - mean * mean).flush().sqrt() + self.eps, v, a)
    }

    #[inline(always)]
    fn descend<L: Lane>(&self, p: L, g: L, r: L) -> L {
        p - self.lr.times(g) / r
    }

    #[inline(always)]
    fn descend_along<L: Lane>(&self, p: L, g: L, r: L, b: L) -> (L, L) {
        let b = self.momentum.times(b) + g.flush() / r;
        (p - self.lr.times(b), b)
    }
}

#[derive(Clone, Copy)]
struct Plain(Step<false>);

impl Formula<1> for Plain {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [v]: [L; 1]) -> (L, [L; 1]) {
        let (r, v) = self.0.root(g, v);
        (self.0.descend(p, g, r), [v])
    }
}

#[derive(Clone, Copy)]
struct Momentum(Step<false>);

impl Formula<2> for Momentum {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [v, b]: [L; 2]) -> (L, [L; 2]) {
        let (r, v) = self.0.root(g, v);
        let (p, b) = self.0.descend_along(p, g, r, b);
        (p, [v, b])
    }
}

#[derive(Clone, Copy)]
struct Centered<const FROM_G: bool>(Step<FROM_G>);

impl<const FROM_G: bool> Formula<2> for Centered<FROM_G> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [v, a]: [L; 2]) -> (L, [L; 2]) {
        let (r, v, a) = self.0.deviation(g, v, a);
        (self.0.descend(p, g, r), [v, a])
    }
}

#[derive(Clone, Copy)]
struct CenteredMomentum<const FROM_G: bool>(Step<FROM_G>);

impl<const FROM_G: bool> Formula<3> for CenteredMomentum<FROM_G> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [v, b, a]: [L; 3]) -> (L, [L; 3]) {
        let (r, v, a) = self.0.deviation(g, v, a);
        let (p, b) = self.0.descend_along(p, g, r, b);
        (p, [v, b, a])
    }
}

impl RmsProp {
    fn step<const FROM_G: bool>(&self) -> Step<FROM_G> {
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

    fn check(&self) -> Result<(), Error> {
        shared!(self).check()?;
        range::fraction("alpha", self.alpha)?;
        range::non_negative("eps", self.eps)?;
        range::non_negative("momentum", self.momentum)
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        let shared = shared!(self);
        match (self.momentum != 0.0, self.centered, Average::from_x(self.alpha)) {
            (false, false, _) => shared.around(Plain(self.step()), with),
            (true, false, _) => shared.around(Momentum(self.step()), with),
            (false, true, false) => shared.around(Centered(self.step::<false>()), with),
            (false, true, true) => shared.around(Centered(self.step::<true>()), with),
            (true, true, false) => shared.around(CenteredMomentum(self.step::<false>()), with),
            (true, true, true) => shared.around(CenteredMomentum(self.step::<true>()), with),
        }
    }
}
