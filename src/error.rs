//! What can go wrong.

/// What an [`Optimizer`](crate::Optimizer) refuses. Whenever a call returns one of these, it has written nothing (but see
/// [`Slots`](Self::Slots)).
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
    #[error("tensor {index}{} has {params} parameters, but {grads} gradients", named(name))]
    Tensor {
        /// Which tensor of the call, from 0.
        index: usize,
        /// Its name in the layout, if that has one.
        name: Option<String>,
        /// How many parameters it has.
        params: usize,
        /// How many gradients it has.
        grads: usize,
    },
    /// The copy of a tensor's parameters is not as long as they are.
    #[error("tensor {index}{} has {params} parameters, but a copy of {copy}", named(name))]
    Mirror {
        /// Which tensor of the call, from 0.
        index: usize,
        /// Its name in the layout, if that has one.
        name: Option<String>,
        /// How many parameters it has.
        params: usize,
        /// How many the copy has room for.
        copy: usize,
    },
    /// The parameters of a tensor are not upper halves, where the optimizer keeps the lower ones.
    #[error(
        "tensor {index}{} has parameters in {found}, but with `set_split` they must be in BF16",
        named(name)
    )]
    Split {
        /// Which tensor of the call, from 0.
        index: usize,
        /// Its name in the layout, if that has one.
        name: Option<String>,
        /// What they are.
        found: crate::Format,
    },
    /// The optimizer keeps no lower halves of parameters.
    #[error("there are no lower halves of parameters: `set_split` asks for them")]
    NoSplit,
    /// A tensor has not as many parameters as the layout's tensor in its place.
    #[error("tensor {index} has {found} parameters, but {name:?}, whose place that is, has {expected}")]
    TensorLength {
        /// Which tensor of the call, from 0.
        index: usize,
        /// The name in the layout.
        name: String,
        /// How many parameters the layout has there.
        expected: usize,
        /// How many the call's tensor has.
        found: usize,
    },
    /// A tensor of another name than the layout's in its place.
    #[error("tensor {index} is {found:?}, but must be {expected:?}")]
    TensorName {
        /// Which tensor of the call, from 0.
        index: usize,
        /// The name in the layout.
        expected: String,
        /// The name in the call.
        found: String,
    },
    /// Not as many tensors as the layout has.
    #[error("{found} tensors, but the layout has {expected}")]
    TensorCount {
        /// How many the layout has.
        expected: usize,
        /// How many the call has.
        found: usize,
    },
    /// Gradients are not finite, and the call asked for an error then.
    #[error("gradients are not finite: {count} in all, the first at {first}{}", in_tensor(tensor))]
    NonFinite {
        /// How many.
        count: u64,
        /// Where the first is among all.
        first: usize,
        /// The name of the tensor that holds it, if the layout has one.
        tensor: Option<String>,
    },
    /// What is wrong with a group's rule.
    #[error("group {group}{}: {error}", named(tensor))]
    Group {
        /// Which group, from 0.
        group: usize,
        /// The name of its first tensor, if the layout has one.
        tensor: Option<String>,
        /// What is wrong.
        error: Box<Self>,
    },
    /// A group has no range.
    #[error("group {group} has no parameters: is there a name that it selects?")]
    EmptyGroup {
        /// Which group, from 0.
        group: usize,
    },
    /// A range of a group has no parameters.
    #[error("group {group} has a range without parameters, {start}..{end}")]
    EmptyRange {
        /// Which group, from 0.
        group: usize,
        /// Where the range begins.
        start: usize,
        /// Where it ends.
        end: usize,
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
    /// A part does not lie within its whole, or is cut where there is no leaf of sums.
    #[error(
        "a part of parameters {}..{} must begin and end with them or at a multiple of {}, but this is {start}..{end}",
        of.0, of.1, crate::Layout::LEAF
    )]
    Part {
        /// Where the part begins.
        start: usize,
        /// Where it ends.
        end: usize,
        /// The first of the parameters that it is a part of, and where they end.
        of: (usize, usize),
    },
    /// Two ranges hold the same parameters.
    #[error("parameters {start}..{end}{} are in group {} and in group {}", in_tensor(tensor), groups.0, groups.1)]
    Overlap {
        /// Which groups, from 0. It may be one and the same.
        groups: (usize, usize),
        /// The first parameter in both.
        start: usize,
        /// Where what is in both ends.
        end: usize,
        /// The name of the tensor that holds the first, if the layout has one.
        tensor: Option<String>,
    },
    /// No group holds these parameters.
    #[error("parameters {start}..{end}{} are in no group", in_tensor(tensor))]
    Gap {
        /// The first parameter without a group.
        start: usize,
        /// The next one with a group, or the end.
        end: usize,
        /// The name of the tensor that holds the first, if the layout has one.
        tensor: Option<String>,
    },
    /// There is no such group.
    #[error("there is no group {found}, but {groups} in all")]
    NoGroup {
        /// The group that was asked for.
        found: usize,
        /// How many there are.
        groups: usize,
    },
    /// No group's rule has state of this name.
    #[error("no group has a state {name:?}, but there are {known:?}")]
    NoState {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// State for a group whose rule has none of this name.
    #[error("group {group} has no state {name:?}, but what is given for it is not zero at {first}")]
    Stateless {
        /// Which group, from 0.
        group: usize,
        /// The name.
        name: &'static str,
        /// The first place that is not zero.
        first: usize,
    },
    /// There is no average of the weights: it was not asked for, or no step has been taken since.
    #[error("there is no average of the weights: `set_ema` asks for one, which begins at the next step")]
    NoEma,
    /// Parameters that are no `f32` cannot change places with their average.
    #[error(
        "only parameters in f32 can change places with their average, which would lose its bits in others"
    )]
    SwapFormat,
    /// The parameters have changed places with their average.
    #[error("the parameters are in the place of their average: swap them back first")]
    Swapped,
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
    /// A rule hands over a formula with another number of state slots than it names. If it has not done so when it was asked
    /// before the step, elements of other formulas have been stepped by then, and the step is not counted.
    #[error("the rule names {expected} state slots, but its formula takes {found}")]
    Slots {
        /// How many [`Rule::slots`](crate::Rule::slots) names.
        expected: usize,
        /// How many the formula takes.
        found: usize,
    },
    /// How far a layerwise rule moves its parameters cannot be measured in parts.
    #[error("the update of a layerwise rule cannot be measured in a step that is taken in parts")]
    LayerwiseUpdate,
    /// A step in parts has not been told what it must know before.
    #[error("the step must be told the {what} of the whole before it is taken in parts")]
    Unmeasured {
        /// What.
        what: &'static str,
    },
    /// A tensor of a step in parts goes beyond the layer that it is of.
    #[error("the elements {start}..{end} are handed over in one tensor, but the layer there is {}..{}", layer.0, layer.1)]
    Layer {
        /// Where the elements begin.
        start: usize,
        /// Where they end, or where their group does.
        end: usize,
        /// Where the layer begins and ends.
        layer: (usize, usize),
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

fn named(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |name| format!(" ({name:?})"))
}

fn in_tensor(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |name| format!(" (in {name:?})"))
}
