//! The options that every optimizer shares.

use super::range;
use crate::formula::{Decoupled, Factor, L2};
use crate::{Error, Formula, WithFormula};

/// The options that every optimizer shares. An [`Optimizer`](crate::Optimizer) does them around a rule's formula.
///
/// In this order: the gradient is clamped by value, then negated to maximize; L1 decay by the parameter's sign enters it;
/// then `weight_decay` enters it or, decoupled, shrinks the parameter. What PyTorch has of this it has in this order. What
/// is not asked for takes no time.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// Learning rate; decoupled decay is scaled by it.
    pub lr: f64,
    /// Strength of the decay by the parameter's size; 0 is off.
    pub weight_decay: f64,
    /// Whether `weight_decay` shrinks the parameter itself instead of entering the gradient.
    pub decoupled_weight_decay: bool,
    /// Strength of the decay by the parameter's sign; 0 is off.
    pub l1_decay: f64,
    /// Largest magnitude that an element of the gradient keeps.
    pub clip_value: Option<f64>,
    /// Whether to ascend the gradient instead of descending.
    pub maximize: bool,
}

impl Shared {
    /// A learning rate, and every other option off.
    #[must_use]
    pub const fn new(lr: f64) -> Self {
        Self {
            lr,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            l1_decay: 0.0,
            clip_value: None,
            maximize: false,
        }
    }

    /// Without decoupled decay, which is the rule's own affair.
    pub(super) const fn without_decoupled(self) -> Self {
        if self.decoupled_weight_decay { Self { weight_decay: 0.0, ..self } } else { self }
    }

    /// Without decay through the gradient, which is the rule's own affair.
    pub(super) const fn without_coupled(self) -> Self {
        if self.decoupled_weight_decay { self } else { Self { weight_decay: 0.0, ..self } }
    }

    /// Whether each is in its range.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        range::non_negative("lr", self.lr)?;
        range::non_negative("weight_decay", self.weight_decay)?;
        range::non_negative("l1_decay", self.l1_decay)?;
        range::non_negative("clip_value", self.clip_value.unwrap_or(0.0))
    }

    /// Hands `then` to `with` inside of its `weight_decay`. All else is for who knows the gradient's scale.
    pub(crate) fn decayed<F: Formula<S>, const S: usize, W: WithFormula>(
        self,
        then: F,
        with: W,
    ) -> W::Output {
        if self.weight_decay == 0.0 {
            with.formula(then)
        } else if self.decoupled_weight_decay {
            with.formula(Decoupled { by: Factor::new(self.lr * self.weight_decay), then })
        } else {
            with.formula(L2 { by: Factor::new(self.weight_decay), then })
        }
    }
}

/// Declares the hyperparameters of a rule: its own, and those that every optimizer shares.
macro_rules! hyperparameters {
    (
        $(#[$about:meta])*
        pub struct $Rule:ident {
            $($(#[$meaning:meta])* pub $field:ident: $Type:ty = $default:expr,)*
        }
        shared: lr = $lr:expr, weight_decay = $weight_decay:expr, decoupled_weight_decay = $decoupled:expr;
    ) => {
        $(#[$about])*
        ///
        /// With feature `serde`, a dictionary of these options, with all their
        /// [numbers](crate::AnyRule#numbers-in-files). What is left out has its default.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
        pub struct $Rule {
            /// Learning rate. Like all strengths below, in `[0, f32::MAX]`.
            #[doc = concat!("Default: `", stringify!($lr), "`.")]
            #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
            pub lr: f64,
            $(
                $(#[$meaning])*
                #[doc = concat!("Default: `", stringify!($default), "`.")]
                #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
                pub $field: $Type,
            )*
            /// Strength of the decay by the parameter's size; 0 is off.
            #[doc = concat!("Default: `", stringify!($weight_decay), "`.")]
            #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
            pub weight_decay: f64,
            /// Whether `weight_decay` shrinks the parameter itself, by `lr * weight_decay` of it, instead of entering
            /// the gradient.
            #[doc = concat!("Default: `", stringify!($decoupled), "`.")]
            pub decoupled_weight_decay: bool,
            /// Strength of the decay by the parameter's sign, which enters the gradient; 0 is off. Default: `0.0`.
            #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
            pub l1_decay: f64,
            /// Largest magnitude that an element of the gradient keeps. Default: `None`.
            #[cfg_attr(feature = "serde", serde(with = "crate::number"))]
            pub clip_value: Option<f64>,
            /// Whether to ascend the gradient instead of descending. Default: `false`.
            pub maximize: bool,
        }

        impl Default for $Rule {
            fn default() -> Self {
                Self {
                    lr: $lr,
                    $($field: $default,)*
                    weight_decay: $weight_decay,
                    decoupled_weight_decay: $decoupled,
                    l1_decay: 0.0,
                    clip_value: None,
                    maximize: false,
                }
            }
        }

        impl From<&$Rule> for $crate::rule::Shared {
            fn from(rule: &$Rule) -> Self {
                Self {
                    lr: rule.lr,
                    weight_decay: rule.weight_decay,
                    decoupled_weight_decay: rule.decoupled_weight_decay,
                    l1_decay: rule.l1_decay,
                    clip_value: rule.clip_value,
                    maximize: rule.maximize,
                }
            }
        }
    };
}

/// Two methods of [`Rule`](super::Rule) for what [`hyperparameters`] declares; of `shared`, what is done around the formula.
macro_rules! shared_options {
    () => {
        shared_options!(shared => shared);
    };
    ($shared:ident => $decorated:expr) => {
        fn shared(&self) -> $crate::rule::Shared {
            let $shared = $crate::rule::Shared::from(self);
            $decorated
        }

        fn set_lr(&mut self, lr: f64) {
            self.lr = lr;
        }
    };
}
