//! Adam: the running mean of the gradient over the root of the running mean of its square.
//!
//! ```text
//! m = m + (1 - beta1)*(g - m)                  v = v*beta2 + ((1 - beta2)*g)*g
//! c1 = 1 - beta1^t                             c2 = 1 - beta2^t           (both 1 without bias correction)
//! amsgrad:  w = max(w, v), else w = v
//! p = p - ((lr/c1*sqrt(c2))*m) / (sqrt(w) + eps*sqrt(c2))
//! ```
//!
//! The coefficients are `f64` until each is rounded once: `1 - 0.999` taken in `f32` is off by 1.3e-5, which is the
//! largest error in most other implementations. `eps` is added to the corrected root, as in PyTorch, which divides
//! every root by `sqrt(c2)` for that; here the fraction is expanded by `sqrt(c2)` instead, so that all of the correction is
//! in the coefficients: one division less, and one rounding. AMSGrad's maximum is of the uncorrected `v`.
//!
//! Kingma & Ba, *Adam: A Method for Stochastic Optimization*, <https://arxiv.org/abs/1412.6980>. AMSGrad: Reddi, Kale &
//! Kumar, *On the Convergence of Adam and Beyond*, <https://arxiv.org/abs/1904.09237>.

use super::{Rule, bias_correction, range};
use crate::formula::{Average, AverageSquare, Factor};
use crate::{Error, Formula, Lane, WithFormula};

hyperparameters! {
    /// Adam, as `torch.optim.Adam`: its `weight_decay` enters the gradient. For decoupled decay see
    /// [`AdamW`](super::AdamW), or set `decoupled_weight_decay`. State: `exp_avg`, `exp_avg_sq`, with AMSGrad
    /// `max_exp_avg_sq`.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Adam, Optimizer};
    /// let mut optimizer = Optimizer::new(Adam { lr: 0.125, ..Adam::default() }, 2)?;
    /// let mut params = [1.0, 1.0];
    /// optimizer.step(&mut params, &[100.0, 0.01])?; // the first step is lr, whatever the gradient's size
    /// assert!(params.iter().all(|p| (p - 0.875).abs() < 1e-6));
    /// # Ok(()) }
    /// ```
    pub struct Adam {
        /// How much of themselves the two averages keep, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root. In the mean square a gradient counts as at least about 3e-18, so that this may be 0.
        pub eps: f64 = 1e-8,
        /// Whether to divide by the largest mean square so far instead of the present one.
        pub amsgrad: bool = false,
        /// Whether to make up for averages that start from zero.
        pub bias_correction: bool = true,
    }
    shared: lr = 1e-3, weight_decay = 0.0, decoupled_weight_decay = false;
}

#[derive(Clone, Copy)]
struct Step {
    mean: Average,
    square: AverageSquare,
    lr: Factor,
    eps: f32,
}

/// With a third slot, AMSGrad.
impl<const S: usize> Formula<S> for Step {
    const NORMAL: [bool; S] = {
        let mut normal = [true; S];
        normal[0] = false;
        normal
    };
    const SHIFTS: bool = true;

    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, mut s: [L; S]) -> (L, [L; S]) {
        s[0] = self.mean.update(s[0], g);
        s[1] = self.square.update(s[1], g);
        if S == 3 {
            s[2] = s[2].max(s[1]);
        }
        (p - self.lr.times_over(s[0], s[S - 1].sqrt() + self.eps), s)
    }
}

impl Rule for Adam {
    fn slots(&self) -> &'static [&'static str] {
        if self.amsgrad { &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] } else { &["exp_avg", "exp_avg_sq"] }
    }

    fn check(&self) -> Result<(), Error> {
        self.shared().check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)
    }

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let (beta1, beta2) = self.betas;
        let correction = |beta| if self.bias_correction { bias_correction(beta, t) } else { 1.0 };
        let root = correction(beta2).sqrt();
        let step = Step {
            mean: Average::new(beta1),
            square: AverageSquare::new(beta2),
            lr: Factor::new(self.lr / correction(beta1) * root),
            eps: (self.eps * root) as f32,
        };
        if self.amsgrad { with.formula::<_, 3>(step) } else { with.formula::<_, 2>(step) }
    }
}
