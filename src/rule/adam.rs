//! Adam: the running mean of the gradient over the root of the running mean of its square.
//!
//! ```text
//! m = m + (1 - beta1)*(g - m)                  v = v*beta2 + ((1 - beta2)*g)*g
//! c1 = 1 - beta1^t                             c2 = 1 - beta2^t           (both 1 without bias correction)
//! amsgrad:  w = max(w, v), else w = v
//! p = p - ((lr/c1)*m) / (sqrt(w)/sqrt(c2) + eps)
//! ```
//!
//! The coefficients are `f64` until each is rounded once: `1 - 0.999` taken in `f32` is off by 1.3e-5, which is the
//! largest error in most other implementations. `eps` is added to the corrected root, as in PyTorch, and AMSGrad's
//! maximum is of the uncorrected `v`.
//!
//! Kingma & Ba, *Adam: A Method for Stochastic Optimization*, <https://arxiv.org/abs/1412.6980>. AMSGrad: Reddi, Kale &
//! Kumar, *On the Convergence of Adam and Beyond*, <https://arxiv.org/abs/1904.09237>.

use super::{Rule, bias_correction, range, shared::shared};
use crate::formula::{Average, AverageSquare, Factor};
use crate::{Error, Formula, Lane, WithFormula};

/// Adam, as `torch.optim.Adam`: its `weight_decay` enters the gradient. For decoupled decay see
/// [`AdamW`](super::AdamW), or set `decoupled_weight_decay`.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{Adam, Optimizer};
/// let mut optimizer = Optimizer::new(Adam { lr: 0.125, eps: 0.0, ..Adam::default() }, 1)?;
/// let mut params = [1.0];
/// optimizer.step(&mut params, &[1e-3])?; // the first step is lr, whatever the gradient's size
/// assert!((params[0] - 0.875).abs() < 1e-6);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// How much of themselves the two averages keep.
    pub betas: (f64, f64),
    /// Added to the root.
    pub eps: f64,
    /// Whether to divide by the largest mean square so far instead of the present one.
    pub amsgrad: bool,
    /// Whether to make up for averages that start from zero.
    pub bias_correction: bool,
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

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            amsgrad: false,
            bias_correction: true,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            l1_decay: 0.0,
            clip_value: None,
            maximize: false,
        }
    }
}

#[derive(Clone, Copy)]
struct Step<const FROM_G: bool> {
    mean: Average<FROM_G>,
    square: AverageSquare,
    lr: Factor,
    correction: f32,
    eps: f32,
}

impl<const FROM_G: bool> Step<FROM_G> {
    #[inline(always)]
    fn averages<L: Lane>(&self, g: L, m: L, v: L) -> (L, L) {
        (self.mean.update(m, g), self.square.update(v, g))
    }

    #[inline(always)]
    fn descend<L: Lane>(&self, p: L, m: L, v: L) -> L {
        p - self.lr.times(m) / (v.sqrt() / self.correction + self.eps)
    }
}

#[derive(Clone, Copy)]
struct Plain<const FROM_G: bool>(Step<FROM_G>);

impl<const FROM_G: bool> Formula<2> for Plain<FROM_G> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, v]: [L; 2]) -> (L, [L; 2]) {
        let (m, v) = self.0.averages(g, m, v);
        (self.0.descend(p, m, v), [m, v])
    }
}

#[derive(Clone, Copy)]
struct AmsGrad<const FROM_G: bool>(Step<FROM_G>);

impl<const FROM_G: bool> Formula<3> for AmsGrad<FROM_G> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [m, v, w]: [L; 3]) -> (L, [L; 3]) {
        let (m, v) = self.0.averages(g, m, v);
        let w = w.max(v);
        (self.0.descend(p, m, w), [m, v, w])
    }
}

impl Adam {
    fn step<const FROM_G: bool>(&self, t: u64) -> Step<FROM_G> {
        let (beta1, beta2) = self.betas;
        let corrections = if self.bias_correction {
            (bias_correction(beta1, t), bias_correction(beta2, t))
        } else {
            (1.0, 1.0)
        };
        Step {
            mean: Average::new(beta1),
            square: AverageSquare::new(beta2),
            lr: Factor::new(self.lr / corrections.0),
            correction: corrections.1.sqrt() as f32,
            eps: self.eps as f32,
        }
    }
}

impl Rule for Adam {
    fn slots(&self) -> &'static [&'static str] {
        if self.amsgrad { &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] } else { &["exp_avg", "exp_avg_sq"] }
    }

    fn check(&self) -> Result<(), Error> {
        shared!(self).check()?;
        range::fraction("betas.0", self.betas.0)?;
        range::fraction("betas.1", self.betas.1)?;
        range::non_negative("eps", self.eps)
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        let shared = shared!(self);
        match (self.amsgrad, Average::from_x(self.betas.0)) {
            (false, false) => shared.around(Plain(self.step::<false>(t)), with),
            (false, true) => shared.around(Plain(self.step::<true>(t)), with),
            (true, false) => shared.around(AmsGrad(self.step::<false>(t)), with),
            (true, true) => shared.around(AmsGrad(self.step::<true>(t)), with),
        }
    }
}
