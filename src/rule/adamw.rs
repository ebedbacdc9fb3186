//! AdamW: Adam whose weight decay shrinks the parameter itself.
//!
//! ```text
//! p = p - (lr*weight_decay)*p, then Adam's step
//! ```
//!
//! The decay comes before the step, as in PyTorch, which multiplies by `1 - lr*weight_decay`: rounded once, that drifts.
//! Others subtract `lr*(update + weight_decay*p)` at the end. All are the same mathematics rounded otherwise.
//!
//! Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, <https://arxiv.org/abs/1711.05101>.

use super::{Adam, Rule, Shared};
use crate::{Error, WithFormula};

hyperparameters! {
    /// AdamW, as `torch.optim.AdamW`. State: `exp_avg`, `exp_avg_sq`, with AMSGrad `max_exp_avg_sq`.
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
    pub struct AdamW {
        /// How much of themselves the two averages keep, each in `[0, 1)`.
        pub betas: (f64, f64) = (0.9, 0.999),
        /// Added to the root. In the mean square a gradient counts as at least about 3e-18, so that this may be 0.
        pub eps: f64 = 1e-8,
        /// Whether to divide by the largest mean square so far instead of the present one.
        pub amsgrad: bool = false,
        /// Whether to make up for averages that start from zero.
        pub bias_correction: bool = true,
    }
    shared: lr = 1e-3, weight_decay = 1e-2, decoupled_weight_decay = true;
}

impl AdamW {
    fn adam(&self) -> Adam {
        let Self { betas, eps, amsgrad, bias_correction, .. } = *self;
        let Shared { lr, weight_decay, decoupled_weight_decay, l1_decay, clip_value, maximize } =
            Shared::from(self);
        Adam {
            lr,
            betas,
            eps,
            amsgrad,
            bias_correction,
            weight_decay,
            decoupled_weight_decay,
            l1_decay,
            clip_value,
            maximize,
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

    shared_options!();

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        self.adam().at(t, with)
    }
}
