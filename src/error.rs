//! What can go wrong.

/// What an [`Optimizer`](crate::Optimizer) refuses. Whenever a call returns one of these, it has written nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyperparameter is NaN, infinite or out of range.
    #[error("{name} is {found}, but must be {allowed}")]
    Hyperparameter {
        /// The field's name.
        name: &'static str,
        /// Its value.
        found: f64,
        /// What it must be.
        allowed: &'static str,
    },
    /// A slice does not have as many elements as the optimizer was made for.
    #[error("{what} has {found} elements, but the optimizer was made for {expected}")]
    Length {
        /// Which slice.
        what: &'static str,
        /// The optimizer's length.
        expected: usize,
        /// The slice's length.
        found: usize,
    },
    /// A rule hands over a formula with another number of state slots than it names.
    #[error("the rule names {expected} state slots, but its formula takes {found}")]
    Slots {
        /// How many [`Rule::slots`](crate::Rule::slots) names.
        expected: usize,
        /// How many the formula takes.
        found: usize,
    },
    /// The state does not fit into memory.
    #[error("no memory for a state of {slots} slots of {len} elements")]
    Memory {
        /// Number of slots.
        slots: usize,
        /// Elements in each.
        len: usize,
    },
}
