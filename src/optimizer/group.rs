//! Parameters that share hyperparameters.

use super::Layout;
use super::slot::Slot;
use crate::rule::range;
use crate::{Error, Formula, Rule, WithFormula};
use core::ops::Range;

/// Parameters that share a rule: ranges of the flat vector, in any order.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{AdamW, AnyRule, Group, Optimizer, Sgd};
/// let mut optimizer = Optimizer::with_groups(
///     [
///         Group::over(AnyRule::from(AdamW::default()), [0..600, 700..1300]),
///         Group::over(AdamW { weight_decay: 0.0, ..AdamW::default() }.into(), [600..700, 1300..1400]),
///         Group { lr_scale: 0.1, ..Group::new(Sgd::default().into(), 1400..2000) },
///     ],
///     2000,
/// )?;
/// optimizer.step(&mut [1.0; 2000], &[0.5; 2000])?;
/// # Ok(()) }
/// ```
///
/// It has no `serde`: the rule has it, and the ranges are the model's.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<R> {
    /// What they are updated by.
    pub rule: R,
    /// Where they are in the flat vector, or in the tensors of a call laid end to end.
    pub ranges: Vec<Range<usize>>,
    /// What the rule's learning rate is multiplied by, in `[0, f32::MAX]`: for a share of it that no schedule and no other rule
    /// changes. For a learning rate of the group's own, give one to the rule. Default: 1.
    pub lr_scale: f64,
    /// Whether they are left alone: neither measured nor updated, and their steps are not counted. Default: no.
    pub frozen: bool,
}

impl<R> Group<R> {
    /// The parameters of one range, at their rule's own learning rate.
    pub fn new(rule: R, range: Range<usize>) -> Self {
        Self::over(rule, core::iter::once(range))
    }

    /// The parameters of many ranges, at their rule's own learning rate.
    pub fn over(rule: R, ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        Self { rule, ranges: ranges.into_iter().collect(), lr_scale: 1.0, frozen: false }
    }
}

/// A group in an optimizer.
#[derive(Clone)]
pub(super) struct Member<R> {
    pub(super) group: Group<R>,
    /// The group's rule at the learning rate that it is stepped with.
    pub(super) rule: R,
    /// The present learning rate, before it is scaled. That of the group's rule is the one that it was given.
    pub(super) lr: f64,
    pub(super) steps: u64,
    /// The rule's slots.
    pub(super) names: &'static [&'static str],
    /// Where they are among the optimizer's.
    pub(super) slots: Vec<usize>,
}

impl<R: Rule> Member<R> {
    /// # Errors
    /// [`Error::Hyperparameter`], [`Error::Slots`] or [`Error::Name`] if the rule contradicts itself.
    pub(super) fn new(group: Group<R>) -> Result<Self, Error> {
        group.rule.check()?;
        range::non_negative("lr_scale", group.lr_scale)?;
        let names = group.rule.slots();
        if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(Error::Name { what: "state slots", name: (*name).to_owned() });
        }
        let lr = group.rule.shared().lr;
        let mut member = Self { rule: group.rule.clone(), group, lr, steps: 0, names, slots: vec![] };
        member.rule = member.at_lr(lr)?;
        member.layerwise()?;
        Ok(member)
    }

    /// The learning rate that the rule was given, to which those of a schedule are in proportion.
    pub(super) fn given_lr(&self) -> f64 {
        self.group.rule.shared().lr
    }

    /// The rule that the group is stepped with at a learning rate.
    pub(super) fn at_lr(&self, lr: f64) -> Result<R, Error> {
        let mut rule = self.group.rule.clone();
        rule.set_lr(lr);
        rule.check()?;
        let mut scaled = rule.clone();
        scaled.set_lr(lr * self.group.lr_scale);
        scaled.check()?;
        for slots in [rule.slots(), scaled.slots()] {
            if slots != self.names {
                return Err(Error::Slots { expected: self.names.len(), found: slots.len() });
            }
        }
        Ok(scaled)
    }

    /// Whether the formula of the next step is layerwise.
    ///
    /// # Errors
    /// [`Error::Slots`] if it does not take the slots that the rule names.
    pub(super) fn layerwise(&self) -> Result<bool, Error> {
        self.rule.at(self.steps.saturating_add(1), Look { slots: self.names.len() })
    }
}

/// The group's part of `all`, run by run.
///
/// # Errors
/// [`Error::Memory`] if there is no room for it.
pub(super) fn gather(all: &Slot, runs: &[Range<usize>]) -> Result<Vec<f32>, Error> {
    let len = runs.iter().map(Range::len).sum();
    let mut part = Vec::new();
    part.try_reserve_exact(len).map_err(|_| Error::Memory { slots: 1, len })?;
    part.resize(len, 0.0);
    let mut rest = &mut *part;
    for range in runs.iter().cloned() {
        let (here, after) = rest.split_at_mut(range.len());
        all.get(range, here);
        rest = after;
    }
    Ok(part)
}

/// Puts back what was gathered.
pub(super) fn scatter(mut numbers: &[f32], all: &mut Slot, runs: &[Range<usize>]) {
    for range in runs.iter().cloned() {
        let (here, rest) = numbers.split_at(range.len());
        all.put(range, here);
        numbers = rest;
    }
}

/// Looks at the type of a formula.
struct Look {
    slots: usize,
}

impl WithFormula for Look {
    type Output = Result<bool, Error>;

    fn formula<F: Formula<S>, const S: usize>(self, _formula: F) -> Self::Output {
        if self.slots == S { Ok(F::LAYERWISE) } else { Err(Error::Slots { expected: self.slots, found: S }) }
    }
}

/// The end and the group of each run of elements, in order, for groups that cover `0..len` once.
pub(super) fn runs<R>(members: &[Member<R>], layout: &Layout) -> Result<Vec<(usize, usize)>, Error> {
    let len = layout.whole();
    let gap = |start, end| Err(Error::Gap { start, end, tensor: layout.name_at(start) });
    if members.is_empty() {
        return gap(0, len);
    }
    let mut ranges = Vec::new();
    for (group, member) in members.iter().enumerate() {
        if member.group.ranges.is_empty() {
            return Err(Error::EmptyGroup { group });
        }
        for &Range { start, end } in &member.group.ranges {
            if start >= end {
                return Err(Error::EmptyRange { group, start, end });
            }
            if end > len {
                return Err(Error::OutOfRange { group, start, end, len });
            }
            ranges.push((start, end, group));
        }
    }
    ranges.sort_unstable();
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let (mut covered, mut last) = (0, 0);
    for (start, end, group) in ranges {
        if start > covered {
            return gap(covered, start);
        }
        if start < covered {
            let (groups, end, tensor) = ((last, group), end.min(covered), layout.name_at(start));
            return Err(Error::Overlap { groups, start, end, tensor });
        }
        match runs.last_mut() {
            Some((run_end, of)) if *of == group => *run_end = end,
            _ => runs.push((end, group)),
        }
        (covered, last) = (end, group);
    }
    if covered < len {
        return gap(covered, len);
    }
    Ok(runs)
}

/// Where the first of the runs in a range begins, and where each ends there.
pub(super) fn edges(runs: &[(usize, usize)], range: Range<usize>) -> Vec<usize> {
    let inner = runs.iter().map(|&(end, _)| end).filter(|end| range.start < *end && *end < range.end);
    [range.start].into_iter().chain(inner).chain([range.end]).collect()
}
