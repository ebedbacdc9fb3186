//! Another rule in the middle of a run.

use super::group::{Group, Member};
use super::{Optimizer, slots};
use crate::{Error, Rule};

impl<R: Rule> Optimizer<R> {
    /// Changes a group's rule or its options, from the next step on: SGD to Adam, Adam to AdamW, and back. The first
    /// group is 0, as is the only one.
    ///
    /// State that means the same is carried over: what has the same name, and the averages of gradients (`exp_avg`,
    /// `grad_avg`) and of their squares (`exp_avg_sq`, `square_avg`). A `momentum_buffer` is none of these, as it is a
    /// sum. All other state starts from zero. The group's step count, which corrects averages for having started from
    /// zero, goes on if any state was carried over; else it starts from 0 too. Learning rates are those of the new
    /// rule, times the group's [`lr_scale`](Group::lr_scale).
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
        let old = self.member(group)?;
        let mut new = Member::new(Group { rule: rule.into(), ..old.group.clone() })?;
        let others = self.members.iter().enumerate().filter(|(i, _)| *i != group);
        let mut used: Vec<_> = others.flat_map(|(_, member)| member.rule.slots()).copied().collect();
        used.extend(new.rule.slots());

        let mut state = Vec::new();
        core::mem::swap(&mut state, &mut self.state);
        let had = state.len();
        match slots(&mut state, &new.rule, self.len) {
            Ok(found) => new.slots = found,
            Err(error) => {
                state.truncate(had);
                self.state = state;
                return Err(error);
            }
        }
        let old = &self.members[group];
        for (name, &slot) in new.rule.slots().iter().zip(&new.slots) {
            let same = |of: &&str| meaning(of) == meaning(name);
            let from = old.rule.slots().iter().position(|of| of == name);
            let from = from.or_else(|| old.rule.slots().iter().position(same));
            if from.is_some() {
                new.steps = old.steps;
            }
            let from = from.map(|k| old.slots[k]);
            for range in old.group.ranges.iter().cloned() {
                match from {
                    Some(from) if from == slot => {}
                    Some(from) => {
                        if let Ok([to, from]) = state.get_disjoint_mut([slot, from]) {
                            to.numbers_mut()[range.clone()].copy_from_slice(&from.numbers()[range]);
                        }
                    }
                    None if slot < had => state[slot].numbers_mut()[range].fill(0.0),
                    None => {}
                }
            }
        }
        self.members[group] = new;
        state.retain(|slot| used.contains(&slot.name));
        for member in &mut self.members {
            let place = |name: &&str| state.iter().position(|slot| slot.name == *name);
            member.slots = member.rule.slots().iter().filter_map(place).collect();
        }
        self.state = state;
        Ok(())
    }
}

/// Names of one meaning come to one.
fn meaning(slot: &str) -> &str {
    match slot {
        "grad_avg" => "exp_avg",
        "square_avg" => "exp_avg_sq",
        other => other,
    }
}
