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
//! `eps` stands outside the root, as in PyTorch; TensorFlow, optax and others have it inside. A centered variance `v - a*a`
//! that is subnormal counts as zero. Where roundings put it below zero, as they do for a gradient that hardly varies, above all in
//! what is kept of both in fewer bits, `r = sqrt(v) + eps`, so that the step is no longer than the plain one; in PyTorch it is NaN.
//!
//! Tieleman & Hinton, *Lecture 6.5: RMSProp*, COURSERA Neural Networks for Machine Learning, 2012. Centered: Graves,
//! *Generating Sequences With Recurrent Neural Networks*, <https://arxiv.org/abs/1308.0850>.

use super::{Rule, range};
use crate::formula::{Average, AverageSquare, Factor, square};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// RMSprop, as `torch.optim.RMSprop`. State: with momentum `momentum_buffer`, `square_avg`, centered `grad_avg`.
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
        /// Added to the root. In the mean square a gradient counts as at least about 1e-18, so that this may be 0; but not if
        /// `centered`, where a variance is 0 whose gradient does not vary.
        pub eps: f64 = 1e-8,
        /// How much of itself the buffer of updates keeps; 0 is no buffer. Not negative.
        pub momentum: f64 = 0.0,
        /// Whether to divide by the deviation from the mean gradient instead of the root mean square.
        pub centered: bool = false,
    }
    shared: lr = 1e-2, weight_decay = 0.0, decoupled_weight_decay = false;
}

/// Its slots are the buffer if there is momentum, the mean square, and the mean if there is one more.
#[derive(Clone, Copy)]
struct Step<const MOMENTUM: bool> {
    lr: Factor,
    square: AverageSquare,
    mean: Average,
    momentum: Factor,
    eps: f32,
}

impl<const MOMENTUM: bool, const S: usize> Formula<S> for Step<MOMENTUM> {
    const NORMAL: [bool; S] = {
        let mut normal = [false; S];
        normal[MOMENTUM as usize] = true;
        normal
    };
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, mut s: [L; S]) -> (L, [L; S]) {
        let k = usize::from(MOMENTUM);
        s[k] = self.square.update(s[k], g);
        let mut mean_square = s[k];
        if S > k + 1 {
            s[k + 1] = self.mean.update(s[k + 1], g);
            let variance = (s[k] - square(s[k + 1])).flush();
            mean_square = L::select(variance.less(g.splat(0.0)), s[k], variance);
        }
        let root = mean_square.sqrt() + self.eps;
        if !MOMENTUM {
            return (p - self.lr.times_over(g, root), s);
        }
        s[0] = self.momentum.times(s[0]) + g.flush() / root;
        (p - self.lr.times(s[0]), s)
    }
}

impl RmsProp {
    fn step<const MOMENTUM: bool>(&self) -> Step<MOMENTUM> {
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
        static ALL: [&str; 3] = ["momentum_buffer", "square_avg", "grad_avg"];
        &ALL[usize::from(self.momentum == 0.0)..2 + usize::from(self.centered)]
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

    shared_options!();

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        match (self.momentum != 0.0, self.centered) {
            (false, false) => with.formula::<_, 1>(self.step::<false>()),
            (true, false) => with.formula::<_, 2>(self.step::<true>()),
            (false, true) => with.formula::<_, 2>(self.step::<false>()),
            (true, true) => with.formula::<_, 3>(self.step::<true>()),
        }
    }
}
