//! A rule chosen at run time.

/// Declares the rules: the module and type of each, and [`AnyRule`] of them all. The twin of a rule in
/// [`reference`](crate::reference) is the function named after the rule's module.
macro_rules! rules {
    ($($module:ident::$Rule:ident as $name:literal),+ $(,)?) => {
        $(
            pub mod $module;
            pub use $module::$Rule;
        )+

        /// The type of every rule.
        pub(crate) mod all {
            $(
                #[doc(inline)]
                pub use super::$Rule;
            )+
        }

        /// A rule chosen at run time.
        ///
        /// With feature `serde`, PyTorch's dictionary of options with its class under `rule`. What is left out has
        /// the rule's default. What is unknown is an error, but for `foreach`, `fused`, `capturable` and
        /// `differentiable`, which say how PyTorch's kernels run and change nothing here.
        ///
        #[cfg_attr(feature = "serde", doc = "```")]
        #[cfg_attr(not(feature = "serde"), doc = "```ignore")]
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// use lanestep::{AnyRule, Optimizer};
        /// let rule: AnyRule = serde_json::from_str(r#"{"rule": "SGD", "lr": 0.1, "momentum": 0.9}"#)?;
        /// let optimizer = Optimizer::new(rule, 1000)?;
        /// assert_eq!(optimizer.state("momentum_buffer"), Some(&[0.0; 1000][..]));
        /// # Ok(()) }
        /// ```
        ///
        /// # Numbers in files
        ///
        /// Rules, schedules, [`Pipeline`](crate::Pipeline), [`Report`](crate::Report), [`LossScaler`](crate::LossScaler),
        /// [`Health`](crate::Health) and [`Stopping`](crate::Stopping) keep every `f64` in every format, to the bit but for those of
        /// a NaN. With `serde_json`, this takes its feature `float_roundtrip`; an `AnyRule` and a
        /// [`Schedule`](crate::Schedule) take a format in which fields have names, so with `rmp_serde` its `to_vec_named`.
        ///
        /// What is finite is written as a number. What is not is the text `"NaN"`, `"Infinity"` or `"-Infinity"` in formats for
        /// people, such as JSON, and a number in all others. For people, a number may also be a text: `"1e-3"`, or
        /// one of the three words in any case. Whether it is in its range is for `check` to say.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum AnyRule {
            $(
                #[doc = concat!("[`", stringify!($Rule), "`]")]
                $Rule($Rule),
            )+
        }

        impl AnyRule {
            /// Every rule with its defaults.
            #[must_use]
            pub fn all() -> Vec<Self> {
                vec![$(Self::$Rule($Rule::default())),+]
            }

            /// The name of the rule's class in PyTorch, or else what its paper calls it.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$Rule(_) => $name,)+
                }
            }

            /// Step `t` by the rule's plain scalar twin in [`reference`](crate::reference).
            ///
            /// # Panics
            /// When a slice is shorter than `params`, or `state` has not one for each of [`slots`](Rule::slots).
            pub fn reference(&self, t: u64, params: &mut [f32], grads: &[f32], state: &mut [Vec<f32>]) {
                match self {
                    $(Self::$Rule(rule) => crate::reference::$module(rule, t, params, grads, state),)+
                }
            }
        }

        #[cfg(feature = "serde")]
        options::tagged! {
            $($Rule as $name,)+
        }

        $(
            #[cfg(feature = "checkpoint")]
            impl crate::checkpoint::Recorded for $Rule {
                const NAME: Option<&'static str> = Some($name);
            }

            impl From<$Rule> for AnyRule {
                fn from(rule: $Rule) -> Self {
                    Self::$Rule(rule)
                }
            }
        )+

        impl Rule for AnyRule {
            fn slots(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$Rule(rule) => rule.slots(),)+
                }
            }

            fn meaning(&self, slot: &'static str) -> &'static str {
                match self {
                    $(Self::$Rule(rule) => rule.meaning(slot),)+
                }
            }

            fn non_negative(&self, slot: &'static str) -> bool {
                match self {
                    $(Self::$Rule(rule) => rule.non_negative(slot),)+
                }
            }

            fn check(&self) -> Result<(), Error> {
                match self {
                    $(Self::$Rule(rule) => rule.check(),)+
                }
            }

            fn shared(&self) -> Shared {
                match self {
                    $(Self::$Rule(rule) => rule.shared(),)+
                }
            }

            fn set_lr(&mut self, lr: f64) {
                match self {
                    $(Self::$Rule(rule) => rule.set_lr(lr),)+
                }
            }

            fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
                match self {
                    $(Self::$Rule(rule) => rule.at(t, with),)+
                }
            }
        }
    };
}
pub(super) use rules;
