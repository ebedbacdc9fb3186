//! A rule with its state.

#[cfg(feature = "checkpoint")]
pub mod checkpoint;
mod ema;
mod group;
mod in_parts;
mod layout;
mod pipeline;
mod rate;
mod slot;
mod split;
mod state;
mod step;
mod switch;

pub use group::Group;
pub use in_parts::{InParts, OpenLeaf};
pub use layout::Layout;
pub use pipeline::{Gradients, NonFinite, Pipeline, Report, Update};

use crate::buffer::OF_VECS;
use crate::engine::{Level, Parallelism, SLOTS};
use crate::store::Code;
use crate::{Error, Format, Rounding, Rule};
use core::ops::Range;
use core::{fmt, iter};
use ema::Ema;
use group::Member;
use slot::Slot;
use std::sync::Arc;

/// A rule with its state and step count, for parameters of one length.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{AdamW, Optimizer};
/// let mut params = vec![1.0; 1000];
/// let mut optimizer = Optimizer::new(AdamW { lr: 1e-2, ..AdamW::default() }, params.len())?;
/// for _ in 0..100 {
///     let grads: Vec<f32> = params.iter().map(|p| 2.0 * p).collect(); // of the sum of squares
///     optimizer.step(&mut params, &grads)?;
/// }
/// assert!(params.iter().all(|p| p.abs() < 0.5));
/// # Ok(()) }
/// ```
pub struct Optimizer<R> {
    members: Vec<Member<R>>,
    /// The end and the member of each run of elements, of the whole layout.
    runs: Vec<(usize, usize)>,
    /// Where the first run begins and where each ends, for what is kept.
    edges: Arc<[usize]>,
    layout: Layout,
    steps: u64,
    state: Vec<Slot>,
    /// The lower halves of parameters, if they are kept here.
    lower: Option<Slot>,
    /// That of state to come.
    format: Format,
    rounding: Rounding,
    ema: Option<Ema>,
    /// Where in their pages the parameters and gradients of the first step began.
    callers: Option<[usize; 2]>,
    level: Level,
    parallelism: Parallelism,
}

impl<R: Rule> Optimizer<R> {
    /// An optimizer for parameters that are so many, or laid out so: `layout` is their number or a [`Layout`], whose tensors
    /// each call must then hand over in its order. At the best level of this CPU, in parallel if feature `rayon` is on.
    ///
    /// The state is one `f32` for each parameter and each of the rule's [`slots`](Rule::slots), all zero. Where the
    /// system maps zeroed memory lazily, its pages belong to the threads that first step over them. With feature
    /// `huge-pages`, slots of 1.75 MiB and more ask Linux for huge ones.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if the rule's [`check`](Rule::check) fails, [`Error::Slots`] if its formula does
    /// not take the state that it names, [`Error::Name`] if it names a slot twice, [`Error::TooManySlots`] if it names
    /// more than sixteen, [`Error::Memory`] if there is no room for the state.
    pub fn new(rule: R, layout: impl Into<Layout>) -> Result<Self, Error> {
        let layout = layout.into();
        let member = Member::new(Group::new(rule, 0..layout.whole()))?;
        let runs = vec![(layout.whole(), 0)];
        Self::from_members(vec![member], runs, layout)
    }

    /// An optimizer for parameters in groups, each with its own rule. What they are in all is said as to [`new`](Self::new).
    ///
    /// Rules of several kinds are a matter for [`AnyRule`](crate::AnyRule). State that a group's rule does not have
    /// costs addresses, but no memory where the system maps it lazily.
    ///
    /// # Errors
    /// As [`new`](Self::new), what is wrong with a rule in an [`Error::Group`]; [`Error::Gap`] and [`Error::Overlap`] if the
    /// groups' ranges do not hold every parameter once, [`Error::OutOfRange`] if one ends behind the last,
    /// [`Error::EmptyGroup`] and [`Error::EmptyRange`] if a group or a range of it has no parameters.
    pub fn with_groups(
        groups: impl IntoIterator<Item = Group<R>>,
        layout: impl Into<Layout>,
    ) -> Result<Self, Error> {
        let layout = layout.into();
        let member = |(index, group): (usize, Group<R>)| {
            let first = group.ranges.first().cloned();
            Member::new(group).map_err(|error| layout.in_group(index, first.as_ref(), error))
        };
        let members = groups.into_iter().enumerate().map(member).collect::<Result<Vec<_>, _>>()?;
        let runs = group::runs(&members, &layout)?;
        Self::from_members(members, runs, layout)
    }

    fn from_members(
        mut members: Vec<Member<R>>,
        runs: Vec<(usize, usize)>,
        layout: Layout,
    ) -> Result<Self, Error> {
        let (len, mut state) = (layout.len(), Vec::<Slot>::new());
        let edges: Arc<[usize]> = group::edges(&runs, layout.places()).into();
        for member in &mut members {
            for name in member.names {
                if state.iter().all(|slot| slot.name != *name) {
                    let memory = Error::Memory { slots: member.names.len(), len };
                    let taken = iter::once(OF_VECS).chain(state.iter().map(Slot::offset));
                    state.push(Slot::new(name, Code::F32, &edges, taken).ok_or(memory)?);
                }
            }
            if state.len() > SLOTS {
                return Err(Error::TooManySlots { allowed: SLOTS });
            }
            member.slots = place_slots(&state, member.names);
        }
        let (level, parallelism) = (Level::best(), Parallelism::default());
        Ok(Self {
            members,
            runs,
            edges,
            layout,
            steps: 0,
            state,
            lower: None,
            format: Format::F32,
            rounding: Rounding::Nearest,
            ema: None,
            callers: None,
            level,
            parallelism,
        })
    }

    /// Leaves the parameters of a group alone from the next step on, or steps over them again. Its state and its step
    /// count stay.
    ///
    /// # Errors
    /// [`Error::NoGroup`].
    pub fn set_frozen(&mut self, group: usize, frozen: bool) -> Result<(), Error> {
        self.member(group)?;
        self.members[group].group.frozen = frozen;
        Ok(())
    }

    /// The parts of a range, and the group of each.
    fn parts(&self, range: &Range<usize>) -> Vec<(Range<usize>, usize)> {
        let first = self.runs.partition_point(|&(end, _)| end <= range.start);
        let (mut start, mut parts) = (range.start, Vec::new());
        for &(end, group) in &self.runs[first..] {
            let end = end.min(range.end);
            if start == end {
                break;
            }
            parts.push((start..end, group));
            start = end;
        }
        parts
    }

    /// Where the elements of a group are.
    fn runs_of(&self, group: usize) -> impl Iterator<Item = Range<usize>> {
        let places = self.layout.places();
        let starts = iter::once(0).chain(self.runs.iter().map(|&(end, _)| end));
        let runs = starts.zip(&self.runs).filter(move |(_, (_, of))| *of == group);
        let runs = runs.map(move |(start, &(end, _))| start.max(places.start)..end.min(places.end));
        runs.filter(|run| !run.is_empty())
    }

    fn member(&self, group: usize) -> Result<&Member<R>, Error> {
        self.members.get(group).ok_or(Error::NoGroup { found: group, groups: self.members.len() })
    }
}

impl<R> Optimizer<R> {
    /// The groups with their rules as they were given, in the order in which they were; one, if there were none. What their
    /// present learning rates are says [`group_lr`](Self::group_lr).
    #[must_use]
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group<R>> {
        self.members.iter().map(|member| &member.group)
    }

    /// The rule as it was given, or that of the first group.
    #[must_use]
    pub fn rule(&self) -> &R {
        &self.members[0].group.rule
    }

    /// What the parameters are. Without names, if only their number was given.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many parameters the optimizer was made for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.layout.len()
    }

    /// Whether it was made for none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Computes with the vectors of `level`, from the next step on.
    pub const fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    /// Computes on the calling thread or over rayon, from the next step on.
    pub const fn set_parallelism(&mut self, parallelism: Parallelism) {
        self.parallelism = parallelism;
    }

    /// Rounds what is kept in less than 32 bits so, from the next step on: state, and parameters that are of other
    /// [`Element`](crate::Element)s than `f32`.
    ///
    /// ```
    /// # #[cfg(feature = "half")]
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use half::bf16;
    /// use lanestep::{Optimizer, Pipeline, Rounding, Sgd, Tensor};
    /// let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 1000)?;
    /// let (mut nearest, mut random) = (vec![bf16::ONE; 1000], vec![bf16::ONE; 1000]);
    /// for _ in 0..100 {
    ///     optimizer.set_rounding(Rounding::Nearest);
    ///     optimizer.step_with(&mut [Tensor::new(&mut nearest, &[1e-4_f32; 1000])], &Pipeline::default())?;
    ///     optimizer.set_rounding(Rounding::Stochastic { seed: 1 });
    ///     optimizer.step_with(&mut [Tensor::new(&mut random, &[1e-4_f32; 1000])], &Pipeline::default())?;
    /// }
    /// let mean = |params: &[bf16]| params.iter().map(|p| p.to_f64()).sum::<f64>() / 1000.0;
    /// assert_eq!(mean(&nearest), 1.0); // every step was lost
    /// assert!((mean(&random) - 0.99).abs() < 1e-3);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "half"))]
    /// # fn main() {}
    /// ```
    pub const fn set_rounding(&mut self, rounding: Rounding) {
        self.rounding = rounding;
    }

    /// How it rounds.
    #[must_use]
    pub const fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// The vectors it computes with.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Whether it computes over rayon.
    #[must_use]
    pub const fn parallelism(&self) -> Parallelism {
        self.parallelism
    }
}

impl<R: Clone> Optimizer<R> {
    /// A copy that goes on by itself. State that no step has touched yet takes no memory in it either.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no room for it.
    pub fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self {
            members: self.members.clone(),
            runs: self.runs.clone(),
            edges: self.edges.clone(),
            lower: self.lower.as_ref().map(Slot::try_clone).transpose()?,
            layout: self.layout.clone(),
            state: self.state.iter().map(Slot::try_clone).collect::<Result<_, _>>()?,
            ema: self.ema.as_ref().map(Ema::try_clone).transpose()?,
            ..*self
        })
    }
}

/// [`try_clone`](Optimizer::try_clone), which panics where there is no memory.
impl<R: Clone> Clone for Optimizer<R> {
    fn clone(&self) -> Self {
        self.try_clone().expect("memory for a copy")
    }
}

impl<R: fmt::Debug> fmt::Debug for Optimizer<R> {
    /// Without the state, which may be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimizer")
            .field("groups", &self.groups().collect::<Vec<_>>())
            .field("len", &self.len())
            .field("steps", &self.steps)
            .field("level", &self.level)
            .field("parallelism", &self.parallelism)
            .finish_non_exhaustive()
    }
}

/// How a slot is kept in a format.
fn code<'m, R: Rule + 'm>(
    members: impl IntoIterator<Item = &'m Member<R>>,
    name: &'static str,
    format: Format,
) -> Code {
    let mut having = members.into_iter().filter(|member| member.names.contains(&name));
    Code::new(format, having.any(|member| !member.rule.non_negative(name)))
}

/// Where the slots of these names are.
fn place_slots(state: &[Slot], names: &[&str]) -> Vec<usize> {
    names.iter().filter_map(|name| state.iter().position(|slot| slot.name == *name)).collect()
}
