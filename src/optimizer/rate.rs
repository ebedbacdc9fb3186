//! Learning rates.

use super::Optimizer;
use crate::{Error, Rule};

impl<R: Rule> Optimizer<R> {
    /// The learning rate: what was last [set](Self::set_lr), or else what the rule was given. With groups, it is that of the
    /// first whose rule was given one above zero.
    #[must_use]
    pub fn lr(&self) -> f64 {
        self.members[self.leading()].lr
    }

    /// The learning rate that the next step of a group takes: its own, times its [`lr_scale`](crate::Group::lr_scale).
    #[must_use]
    pub fn group_lr(&self, group: usize) -> Option<f64> {
        self.members.get(group).map(|member| member.rule.shared().lr)
    }

    /// Changes the learning rate from the next step on, as a [`Schedule`](crate::Schedule) asks for.
    ///
    /// Groups keep their proportions, so that a schedule scales all of them, as PyTorch's do: the *first* group gets `lr`, and
    /// one whose rule was given a tenth of the first one's learning rate gets a tenth of `lr`. (A group that was given 0 is
    /// not counted as the first, and stays at 0; if all were, all get `lr`.) The rules that [`groups`](Self::groups) tells of
    /// stay as they were given.
    ///
    /// ```
    /// # fn main() -> Result<(), lanestep::Error> {
    /// use lanestep::{Group, Optimizer, Schedule, Sgd};
    /// let sgd = |lr| Sgd { lr, ..Sgd::default() };
    /// let mut optimizer = Optimizer::with_groups([Group::new(sgd(0.5), 0..6), Group::new(sgd(0.125), 6..8)], 8)?;
    /// let schedule = Schedule::linear(0.5, 100);
    /// optimizer.set_lr(schedule.lr(50))?;
    /// assert_eq!([0, 1].map(|group| optimizer.group_lr(group)), [Some(0.25), Some(0.0625)]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if a rule does not allow it, in an [`Error::Group`] if there are several; all learning rates
    /// stay as they were then.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), Error> {
        let first = self.members[self.leading()].given_lr();
        let lr_of = |given: f64| if first > 0.0 { lr * (given / first) } else { lr };
        for (group, member) in self.members.iter().enumerate() {
            let named = |error| if self.members.len() > 1 { self.in_group(group, error) } else { error };
            member.at_lr(lr_of(member.given_lr())).map_err(named)?;
        }
        for member in &mut self.members {
            member.lr = lr_of(member.given_lr());
            member.rule = member.at_lr(member.lr)?;
        }
        Ok(())
    }

    /// Changes the learning rate of one group from the next step on, times its [`lr_scale`](crate::Group::lr_scale). Its
    /// proportion in [`set_lr`](Self::set_lr) is still that of the rule that it was given.
    ///
    /// # Errors
    /// [`Error::NoGroup`], or [`Error::Hyperparameter`] if the rule does not allow it; it stays as it was then.
    pub fn set_group_lr(&mut self, group: usize, lr: f64) -> Result<(), Error> {
        let rule = self.member(group)?.at_lr(lr)?;
        let member = &mut self.members[group];
        (member.lr, member.rule) = (lr, rule);
        Ok(())
    }

    /// The group whose learning rate all others are in proportion to.
    fn leading(&self) -> usize {
        self.members.iter().position(|member| member.given_lr() > 0.0).unwrap_or(0)
    }

    pub(super) fn in_group(&self, group: usize, error: Error) -> Error {
        self.layout.in_group(group, self.members[group].group.ranges.first(), error)
    }
}
