//! AdamW: Adam whose weight decay shrinks the parameter itself.
//!
//! ```text
//! p = p * (1 - lr*weight_decay), then Adam's step
//! ```
//!
//! The decay comes before the step, as in PyTorch; others subtract `lr*(update + weight_decay*p)` at the end, which
//! is the same mathematics rounded otherwise.
//!
//! Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, <https://arxiv.org/abs/1711.05101>.

use super::{Adam, Rule};
use crate::{Error, WithFormula};

/// AdamW, as `torch.optim.AdamW`.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{AdamW, Optimizer};
/// let mut optimizer = Optimizer::new(AdamW { lr: 0.25, weight_decay: 1.0, ..AdamW::default() }, 1)?;
/// let mut params = [1.0];
/// optimizer.step(&mut params, &[0.0])?; // no gradient: only decay
/// assert_eq!(params, [0.75]);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct AdamW {
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
    /// Strength of the decay, in units of the learning rate.
    pub weight_decay: f64,
    /// Always true in PyTorch, whose dictionaries have it all the same. False is [`Adam`].
    pub decoupled_weight_decay: bool,
    /// Strength of the decay by the parameter's sign.
    pub l1_decay: f64,
    /// Largest magnitude that an element of the gradient keeps.
    pub clip_value: Option<f64>,
    /// Whether to climb.
    pub maximize: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            amsgrad: false,
            bias_correction: true,
            weight_decay: 1e-2,
            decoupled_weight_decay: true,
            l1_decay: 0.0,
            clip_value: None,
            maximize: false,
        }
    }
}

impl AdamW {
    fn adam(&self) -> Adam {
        Adam {
            lr: self.lr,
            betas: self.betas,
            eps: self.eps,
            amsgrad: self.amsgrad,
            bias_correction: self.bias_correction,
            weight_decay: self.weight_decay,
            decoupled_weight_decay: self.decoupled_weight_decay,
            l1_decay: self.l1_decay,
            clip_value: self.clip_value,
            maximize: self.maximize,
        }
    }
}

impl Rule for AdamW {
    fn slots(&self) -> &'static [&'static str] {
        self.adam().slots()
    }

    fn check(&self) -> Result<(), Error> {
        self.adam().check()
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        self.adam().at(t, with)
    }
}
