//! State, in and out.

use super::slot::Slot;
use super::{Optimizer, code};
use crate::{Error, Format, Rule};
use core::ops::Range;

impl<R: Rule> Optimizer<R> {
    /// The names of all state: those of the first group's rule, then what others have besides.
    ///
    /// What an optimizer knows is this state with the [steps](Self::steps) of all and of each [group](Self::group_steps),
    /// the [groups](Self::groups) with their rules and whether they are frozen, the learning rate, and the [average of the
    /// weights](Self::ema) if there is one. All of it put into another, the next step has the same bits as if there had been no
    /// interruption. (Feature `checkpoint` does so through files. State in other [formats](Self::state_format) than `f32` is had by
    /// [`read_state`](Self::read_state), and to go on with it takes its format, the [rounding](Self::rounding) and, of parameters that
    /// are [split](Self::set_split), the [masters](Self::masters).)
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{AdamW, Optimizer};
    /// let mut optimizer = Optimizer::new(AdamW::default(), 2)?;
    /// let mut params = [1.0, 2.0];
    /// optimizer.step(&mut params, &[0.5, -0.5])?;
    ///
    /// let mut resumed = Optimizer::with_groups(optimizer.groups().cloned(), optimizer.layout())?;
    /// for name in optimizer.state_names() {
    ///     resumed.set_state(name, optimizer.state(name).unwrap_or_default())?;
    /// }
    /// resumed.set_steps(optimizer.steps()); // which schedules ask for
    /// for group in 0..optimizer.groups().len() {
    ///     resumed.set_group_steps(group, optimizer.group_steps(group).unwrap_or_default())?; // which rules count
    /// }
    /// resumed.set_lr(optimizer.lr())?;
    /// resumed.set_ema(optimizer.ema_decay())?;
    /// if let Some(average) = optimizer.ema() {
    ///     resumed.restore_ema(average)?;
    /// }
    ///
    /// let mut others = params;
    /// optimizer.step(&mut params, &[0.25, 0.25])?;
    /// resumed.step(&mut others, &[0.25, 0.25])?;
    /// assert_eq!(params, others);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn state_names(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.state.iter().map(|slot| slot.name)
    }

    /// The state of the name, one number for each parameter, zero in groups whose rule has no such slot; `None` if no
    /// group's rule has it, or it is kept in another [format](Self::set_state_format) than `f32`.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&[f32]> {
        self.state.iter().find(|slot| slot.name == name).and_then(Slot::plain)
    }

    /// The state of the name, whatever its format, as it is computed with.
    ///
    /// # Errors
    /// [`Error::NoState`] if no group's rule has the name, [`Error::Length`] if there is not a number for each parameter.
    pub fn read_state(&self, name: &str, numbers: &mut [f32]) -> Result<(), Error> {
        let slot = &self.state[self.slot(name)?];
        self.layout.check_len(slot.name, numbers.len())?;
        slot.get(self.layout.places(), numbers);
        Ok(())
    }

    /// What the state of the name is kept as; `None` if no group's rule has it.
    #[must_use]
    pub fn state_format(&self, name: &str) -> Option<Format> {
        self.state.iter().find(|slot| slot.name == name).map(Slot::format)
    }

    /// Keeps the state of a name in another format from now on, or with `None` all state, also that which a
    /// [switch](Self::set_rule) adds later. Best before the first step; what there is by then is rounded once, to the nearest.
    ///
    /// Every step computes with `f32` in any case, and [rounds](Self::set_rounding) what it leaves. [`Format`] says which to take.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{AdamW, Format, Optimizer};
    /// let mut optimizer = Optimizer::new(AdamW::default(), 1000)?;
    /// optimizer.set_state_format(None, Format::Block8)?; // 2 bytes a parameter, not 8
    /// optimizer.step(&mut vec![1.0; 1000], &vec![0.5; 1000])?;
    /// let mut squares = vec![0.0; 1000];
    /// optimizer.read_state("exp_avg_sq", &mut squares)?;
    /// assert!(squares.iter().all(|v| (v / 0.00025 - 1.0).abs() <= 0.125));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoState`] if no group's rule has the name, [`Error::Memory`] if there is no room for it. Nothing has changed then.
    pub fn set_state_format<'n>(
        &mut self,
        name: impl Into<Option<&'n str>>,
        format: Format,
    ) -> Result<(), Error> {
        let name = name.into();
        let slots = match name {
            Some(name) => self.slot(name)?..self.slot(name)? + 1,
            None => 0..self.state.len(),
        };
        let mut converted: Vec<(usize, Slot)> = Vec::new();
        for index in slots {
            let slot = &self.state[index];
            let code = code(&self.members, slot.name, format);
            if slot.code != code {
                let taken = self.taken().chain(converted.iter().map(|(_, slot)| slot.offset()));
                converted.push((index, slot.converted(code, taken)?));
            }
        }
        for (index, slot) in converted {
            self.state[index] = slot;
        }
        if name.is_none() {
            self.format = format;
        }
        Ok(())
    }

    /// Puts state in place of what there is, bit for bit; but what is subnormal becomes zero, as a step would store it. In another
    /// [format](Self::set_state_format) than `f32` it is rounded to the nearest, and in [`Format::Block8`], a slot that is
    /// [never negative](Rule::non_negative) loses signs.
    ///
    /// # Errors
    /// [`Error::NoState`] if no group's rule has the name, [`Error::Length`] if there is not a number for each parameter,
    /// [`Error::Stateless`] if one is not zero in a group whose rule does not have the name. Nothing has been written then.
    pub fn set_state(&mut self, name: &str, numbers: &[f32]) -> Result<(), Error> {
        let slot = self.slot(name)?;
        let name = self.state[slot].name;
        self.layout.check_len(name, numbers.len())?;
        let parts =
            (0..self.members.len()).flat_map(|group| self.runs_of(group).map(move |run| (run, group)));
        let places = self.layout.places();
        let not_zero = |mut range: Range<usize>| range.find(|&place| numbers[place - places.start] != 0.0);
        self.check_stateless(name, parts, not_zero)?;
        self.settled();
        self.state[slot].put(places, numbers);
        self.state[slot].flush();
        Ok(())
    }

    /// Which slot has a name.
    pub(super) fn slot(&self, name: &str) -> Result<usize, Error> {
        let slot = self.state.iter().position(|slot| slot.name == name);
        slot.ok_or_else(|| Error::NoState { name: name.to_owned(), known: self.state_names().collect() })
    }

    /// Whether state is zero in those parts whose group has none of the name.
    pub(super) fn check_stateless(
        &self,
        name: &'static str,
        parts: impl IntoIterator<Item = (Range<usize>, usize)>,
        not_zero: impl Fn(Range<usize>) -> Option<usize>,
    ) -> Result<(), Error> {
        let stateless = |(_, group): &(_, usize)| !self.members[*group].names.contains(&name);
        for (range, group) in parts.into_iter().filter(stateless) {
            if let Some(first) = not_zero(range) {
                return Err(Error::Stateless { group, name, first });
            }
        }
        Ok(())
    }

    /// Counts from so many steps on, of which schedules take notice. That is not enough to resume: rules count the steps of
    /// their [group](Self::set_group_steps).
    pub const fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Lets the rule of a group count from so many steps on.
    ///
    /// # Errors
    /// [`Error::NoGroup`].
    pub fn set_group_steps(&mut self, group: usize, steps: u64) -> Result<(), Error> {
        self.member(group)?;
        self.members[group].steps = steps;
        Ok(())
    }
}

impl<R> Optimizer<R> {
    /// How many steps have been taken. Skipped steps are not among them, so a schedule waits for them; what counts all calls is
    /// [`Health::steps`](crate::Health::steps).
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// How many steps a group has taken, which its rule counts from: not those while it was frozen, nor those before a
    /// [rule](Self::set_rule) that has nothing in common with the one before.
    #[must_use]
    pub fn group_steps(&self, group: usize) -> Option<u64> {
        self.members.get(group).map(|member| member.steps)
    }
}
