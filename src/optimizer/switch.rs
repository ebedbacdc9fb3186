//! Another rule in the middle of a run.

use super::group::{Group, Member, gather, scatter};
use super::slot::Slot;
use super::{Optimizer, code, place_slots};
use crate::engine::SLOTS;
use crate::store::Code;
use crate::{Error, Format, Lane, Rule};

impl<R: Rule> Optimizer<R> {
    /// Changes a group's rule or its options, from the next step on: SGD to Adam, Adam to AdamW, and back. The first
    /// group is 0, as is the only one.
    ///
    /// State of the same [`meaning`](Rule::meaning) is carried over as it is; all other state starts from zero. So
    /// averages of gradients and of their squares go on from Adam to AdamW, and the latter from Adam to RMSprop and
    /// back; a `momentum_buffer`, which is a sum, goes on only within SGD or within RMSprop. The learning rate is that of
    /// the new rule, times the group's [`lr_scale`](Group::lr_scale), until the next [`set_lr`](Self::set_lr), which takes it
    /// for the one that the group was given. To change options alone, begin from [`rule`](Self::rule) or [`groups`](Self::groups),
    /// which have what was given.
    ///
    /// The group's step count goes on if any state was carried over or neither rule has any; else it starts from 0.
    /// It corrects averages for having started from zero, with the new rule's betas: early in a run this is right only
    /// from Adam to AdamW and back, and with the betas kept. Ten steps of RMSprop make the first of Adam twenty times
    /// too small; three steps of Adam make the first of RMSprop nine times as large as its learning rate.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Adam, AdamW, AnyRule, Optimizer, Sgd};
    /// let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 2)?;
    /// optimizer.step(&mut [1.0; 2], &[0.5; 2])?;
    /// optimizer.set_rule(0, AdamW::default())?; // goes on with both averages
    /// assert_eq!((optimizer.state("exp_avg").unwrap()[0], optimizer.group_steps(0)), (0.05, Some(1)));
    /// optimizer.set_rule(0, Sgd { momentum: 0.9, ..Sgd::default() })?; // has none of them
    /// assert_eq!((optimizer.state("momentum_buffer"), optimizer.group_steps(0)), (Some(&[0.0; 2][..]), Some(0)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new), or [`Error::NoGroup`]. The optimizer is as it was then.
    pub fn set_rule(&mut self, group: usize, rule: impl Into<R>) -> Result<(), Error> {
        let old = self.member(group)?.clone();
        let mut new = Member::new(Group { rule: rule.into(), ..old.group.clone() })?;
        let others = self.members.iter().enumerate().filter(|(i, _)| *i != group);
        let mut used: Vec<_> =
            others.flat_map(|(_, member)| member.names).chain(new.names).copied().collect();
        used.sort_unstable();
        used.dedup();
        if used.len() > SLOTS {
            return Err(Error::TooManySlots { allowed: SLOTS });
        }
        let had = |name: &&&str| self.state.iter().any(|slot| slot.name == **name);
        let mut added: Vec<Slot> = Vec::new();
        for name in new.names.iter().filter(|name| !had(name)) {
            let taken = self.taken().chain(added.iter().map(Slot::offset));
            let memory = Error::Memory { slots: new.names.len(), len: self.len() };
            let code = Code::new(self.format, !new.rule.non_negative(name));
            added.push(Slot::new(name, code, &self.edges, taken).ok_or(memory)?);
        }

        // What had no sign gets one where the new rule's may be negative, or loses it with the rule that had it so.
        let mut recoded: Vec<Slot> = Vec::new();
        for slot in self.state.iter().filter(|slot| used.contains(&slot.name)) {
            let others = self.members.iter().enumerate().filter(|(i, _)| *i != group);
            let members = others.map(|(_, member)| member).chain([&new]);
            let code = code(members, slot.name, slot.format());
            if code != slot.code {
                let taken = self.taken().chain(added.iter().chain(&recoded).map(Slot::offset));
                recoded.push(slot.converted(code, taken)?);
            }
        }

        // What moves to another slot is taken out before anything is written, as two may change places.
        let runs: Vec<_> = self.runs_of(group).collect();
        let (mut stays, mut moves) = (Vec::new(), Vec::new());
        for &name in new.names {
            let meaning = new.rule.meaning(name);
            match old.names.iter().find(|of| old.rule.meaning(of) == meaning) {
                Some(&from) if from == name => stays.push(name),
                Some(from) => {
                    let mut numbers = gather(&self.state[self.slot(from)?], &runs)?;
                    // Zeros have signs in f16 alone.
                    if self.state_format(name).unwrap_or(self.format) != Format::F16 {
                        numbers.iter_mut().for_each(|x| *x = x.flush());
                    }
                    moves.push((name, numbers));
                }
                None => {}
            }
        }
        let stateless = old.names.is_empty() && new.names.is_empty();
        let goes_on = stateless || !stays.is_empty() || !moves.is_empty();
        new.steps = if goes_on { old.steps } else { 0 };

        for slot in &mut self.state {
            if let Some(found) = recoded.iter().position(|other| other.name == slot.name) {
                *slot = recoded.swap_remove(found);
            }
        }
        self.state.retain(|slot| used.contains(&slot.name));
        self.state.extend(added);
        for slot in self.state.iter_mut().filter(|slot| !stays.contains(&slot.name)) {
            if let Some((_, numbers)) = moves.iter().find(|(name, _)| *name == slot.name) {
                scatter(numbers, slot, &runs);
            } else if old.names.contains(&slot.name) {
                runs.iter().for_each(|run| slot.clear(run));
            }
        }
        self.members[group] = new;
        for member in &mut self.members {
            member.slots = place_slots(&self.state, member.names);
        }
        Ok(())
    }
}
