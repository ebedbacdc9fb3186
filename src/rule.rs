//! What a user writes down, and which formula it means at step `t`.

mod any;
mod correction;
#[cfg(feature = "serde")]
mod options;
pub mod range;
mod shared;

pub use correction::bias_correction;
pub use shared::Shared;

use crate::{Error, WithFormula};

any::rules! {
    sgd::Sgd as "SGD",
    rmsprop::RmsProp as "RMSprop",
    adam::Adam as "Adam",
    adamw::AdamW as "AdamW",
}

/// An optimizer: its hyperparameters, and the formula they mean at each step.
///
/// Hyperparameters are `f64` and carry PyTorch's names. [`at`](Self::at) computes the coefficients of a step from
/// them in `f64` and rounds each once. Options pick a *type* there, so that no loop ever branches on them.
pub trait Rule: Clone + Send + Sync {
    /// Names of the state slots, in the order in which the formula takes them. They may depend on the
    /// hyperparameters, but not on the learning rate.
    fn slots(&self) -> &'static [&'static str];

    /// Whether the hyperparameters make sense.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that does not.
    fn check(&self) -> Result<(), Error>;

    /// What the rule has of the options that every optimizer shares; their decorators go around its formula. A rule
    /// without any says `Shared::new(self.lr)`.
    fn shared(&self) -> Shared;

    /// Changes the learning rate. It need not be checked here.
    fn set_lr(&mut self, lr: f64);

    /// Hands the formula of step `t` to `with`, bare of what [`shared`](Self::shared) asks for. The first step is 1; there is no step 0.
    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output;
}
