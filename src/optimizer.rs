//! A rule with its state.

mod ema;
mod group;
mod layout;
mod pipeline;
mod slot;
mod step;
mod switch;

pub use group::Group;
pub use layout::Layout;
pub use pipeline::{Gradients, NonFinite, Pipeline, Report, Update};

use crate::buffer::OF_VECS;
use crate::engine::{Level, Parallelism, SLOTS};
use crate::{Error, Rule};
use core::{fmt, iter};
use ema::Ema;
use group::Member;
use slot::Slot;

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
    /// The end and the member of each run of elements.
    runs: Vec<(usize, usize)>,
    len: usize,
    steps: u64,
    state: Vec<Slot>,
    ema: Option<Ema>,
    /// Where in their pages the parameters and gradients of the first step began.
    callers: Option<[usize; 2]>,
    level: Level,
    parallelism: Parallelism,
}

impl<R: Rule> Optimizer<R> {
    /// An optimizer for `len` parameters at the best level of this CPU, in parallel if feature `rayon` is on.
    ///
    /// The state is one `f32` for each parameter and each of the rule's [`slots`](Rule::slots), all zero. Where the
    /// system maps zeroed memory lazily, its pages belong to the threads that first step over them.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if the rule's [`check`](Rule::check) fails, [`Error::Slots`] if its formula does
    /// not take the state that it names, [`Error::Name`] if it names a slot twice, [`Error::TooManySlots`] if it names
    /// more than sixteen, [`Error::Memory`] if there is no room for the state.
    pub fn new(rule: R, len: usize) -> Result<Self, Error> {
        let member = Member::new(Group::new(rule, 0..len))?;
        Self::from_members(vec![member], vec![(len, 0)], len)
    }

    /// An optimizer for `len` parameters in groups, each with its own rule.
    ///
    /// Rules of several kinds are a matter for [`AnyRule`](crate::AnyRule). State that a group's rule does not have
    /// costs addresses, but no memory where the system maps it lazily.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Gap`] and [`Error::Overlap`] if the groups' ranges do not hold every
    /// parameter once, [`Error::OutOfRange`] if one ends behind the last, [`Error::EmptyGroup`] if a group or a range
    /// of it has no parameters.
    pub fn with_groups(groups: impl IntoIterator<Item = Group<R>>, len: usize) -> Result<Self, Error> {
        let members = groups.into_iter().map(Member::new).collect::<Result<Vec<_>, _>>()?;
        let runs = group::runs(&members, len)?;
        Self::from_members(members, runs, len)
    }

    fn from_members(
        mut members: Vec<Member<R>>,
        runs: Vec<(usize, usize)>,
        len: usize,
    ) -> Result<Self, Error> {
        let mut state: Vec<Slot> = Vec::new();
        for member in &mut members {
            for name in member.names {
                if state.iter().all(|slot| slot.name != *name) {
                    let memory = Error::Memory { slots: member.names.len(), len };
                    let taken = iter::once(OF_VECS).chain(state.iter().map(Slot::offset));
                    state.push(Slot::new(name, len, taken).ok_or(memory)?);
                }
            }
            if state.len() > SLOTS {
                return Err(Error::TooManySlots { allowed: SLOTS });
            }
            member.slots = place_slots(&state, member.names);
        }
        let (level, parallelism) = (Level::best(), Parallelism::default());
        Ok(Self { members, runs, len, steps: 0, state, ema: None, callers: None, level, parallelism })
    }

    /// Computes with the vectors of `level`.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// Computes on the calling thread or over rayon.
    #[must_use]
    pub fn with_parallelism(self, parallelism: Parallelism) -> Self {
        Self { parallelism, ..self }
    }

    /// The learning rate of the first group, without its [`lr_scale`](Group::lr_scale).
    #[must_use]
    pub fn lr(&self) -> f64 {
        self.rule().shared().lr
    }

    /// Changes the learning rate of every group to this one, from the next step on. Each multiplies it by its
    /// [`lr_scale`](Group::lr_scale), which is how groups under one schedule learn at rates of their own.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if a rule does not allow it; all learning rates stay as they were then.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), Error> {
        for member in &self.members {
            member.at_lr(lr)?;
        }
        for member in &mut self.members {
            (member.group.rule, member.rule) = member.at_lr(lr)?;
        }
        Ok(())
    }

    /// Changes the learning rate of one group, from the next step on.
    ///
    /// # Errors
    /// [`Error::NoGroup`], or [`Error::Hyperparameter`] if the rule does not allow it; it stays as it was then.
    pub fn set_group_lr(&mut self, group: usize, lr: f64) -> Result<(), Error> {
        let rules = self.member(group)?.at_lr(lr)?;
        let member = &mut self.members[group];
        (member.group.rule, member.rule) = rules;
        Ok(())
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

    fn member(&self, group: usize) -> Result<&Member<R>, Error> {
        self.members.get(group).ok_or(Error::NoGroup { found: group, groups: self.members.len() })
    }

    /// The state of the name, one number for each parameter, zero in groups whose rule has no such slot; `None` if no
    /// group's rule has it.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&[f32]> {
        self.state.iter().find(|slot| slot.name == name).map(|slot| &*slot.numbers)
    }
}

impl<R> Optimizer<R> {
    /// How many steps have been taken. Skipped steps are not among them.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The groups, in the order in which they were given; one, if there were none.
    #[must_use]
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group<R>> {
        self.members.iter().map(|member| &member.group)
    }

    /// How many steps a group has taken, which its rule counts from: not those while it was frozen, nor those before a
    /// [rule](Self::set_rule) that has nothing in common with the one before.
    #[must_use]
    pub fn group_steps(&self, group: usize) -> Option<u64> {
        self.members.get(group).map(|member| member.steps)
    }

    /// The rule, or that of the first group.
    #[must_use]
    pub fn rule(&self) -> &R {
        &self.members[0].group.rule
    }

    /// How many parameters the optimizer was made for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it was made for none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
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
            .field("len", &self.len)
            .field("steps", &self.steps)
            .field("level", &self.level)
            .field("parallelism", &self.parallelism)
            .finish_non_exhaustive()
    }
}

/// Where the slots of these names are.
fn place_slots(state: &[Slot], names: &[&str]) -> Vec<usize> {
    names.iter().filter_map(|name| state.iter().position(|slot| slot.name == *name)).collect()
}
