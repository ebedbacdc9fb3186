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
    /// A slice does not have as many elements as the optimizer was made for, or as another.
    #[error("{what} has {found} elements, but must have {expected}")]
    Length {
        /// Which slice.
        what: &'static str,
        /// The right length.
        expected: usize,
        /// The slice's length.
        found: usize,
    },
    /// A tensor does not have as many gradients as parameters.
    #[error("tensor {index} has {params} parameters, but {grads} gradients")]
    Tensor {
        /// Which tensor of the call, from 0.
        index: usize,
        /// How many parameters it has.
        params: usize,
        /// How many gradients it has.
        grads: usize,
    },
    /// Gradients are not finite, and the call asked for an error then.
    #[error("gradients are not finite: {count} in all, the first at {first}")]
    NonFinite {
        /// How many.
        count: u64,
        /// Where the first is.
        first: usize,
    },
    /// A group, or a range of it, has no parameters.
    #[error("group {group} has a range without parameters, or no range")]
    EmptyGroup {
        /// Which group, from 0.
        group: usize,
    },
    /// A group's range ends behind the last parameter.
    #[error("group {group} has parameters {start}..{end}, but there are only {len}")]
    OutOfRange {
        /// Which group, from 0.
        group: usize,
        /// Where the range begins.
        start: usize,
        /// Where it ends.
        end: usize,
        /// How many parameters there are.
        len: usize,
    },
    /// Two ranges hold the same parameters.
    #[error("parameters {start}..{end} are in group {} and in group {}", groups.0, groups.1)]
    Overlap {
        /// Which groups, from 0. It may be one and the same.
        groups: (usize, usize),
        /// The first parameter in both.
        start: usize,
        /// Where what is in both ends.
        end: usize,
    },
    /// No group holds these parameters.
    #[error("parameters {start}..{end} are in no group")]
    Gap {
        /// The first parameter without a group.
        start: usize,
        /// The next one with a group, or the end.
        end: usize,
    },
    /// There is no such group.
    #[error("there is no group {found}, but {groups} in all")]
    NoGroup {
        /// The group that was asked for.
        found: usize,
        /// How many there are.
        groups: usize,
    },
    /// A name stands for two things.
    #[error("two {what} are named {name:?}")]
    Name {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Tensors have more elements together than there are addresses.
    #[error("the tensors have more than {allowed} elements together")]
    TooManyElements {
        /// The largest number.
        allowed: usize,
    },
    /// The groups' rules together name more slots than an optimizer has.
    #[error("the rules name more than {allowed} state slots in all")]
    TooManySlots {
        /// The largest number.
        allowed: usize,
    },
    /// A rule hands over a formula with another number of state slots than it names.
    #[error("the rule names {expected} state slots, but its formula takes {found}")]
    Slots {
        /// How many [`Rule::slots`](crate::Rule::slots) names.
        expected: usize,
        /// How many the formula takes.
        found: usize,
    },
    /// A rule cannot be [`Cautious`](crate::rule::Cautious).
    #[error("a cautious rule's step must depend on gradient and state alone, but this one {found}")]
    Cautious {
        /// What it does instead.
        found: &'static str,
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
