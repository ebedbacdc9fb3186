//! A rule with its state.

use crate::engine::{Level, Parallelism, Sweep};
use crate::{Error, Formula, Rule, WithFormula};
use core::fmt;
use core::ops::Range;

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
#[derive(Clone)]
pub struct Optimizer<R> {
    rule: R,
    len: usize,
    steps: u64,
    state: Vec<Slot>,
    level: Level,
    parallelism: Parallelism,
}

/// One number of state for each parameter, from zero, beginning on a cache line.
struct Slot {
    name: &'static str,
    memory: Vec<f32>,
    numbers: Range<usize>,
}

impl Slot {
    /// Fresh memory from the system, which maps it when it is first written.
    fn new(name: &'static str, len: usize) -> Option<Self> {
        let memory: Vec<f32> = bytemuck::allocation::try_zeroed_vec(len.checked_add(15)?).ok()?;
        let start = memory.as_ptr().align_offset(64).min(15);
        Some(Self { name, memory, numbers: start..start + len })
    }

    fn numbers(&self) -> &[f32] {
        &self.memory[self.numbers.clone()]
    }

    fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.numbers.clone()]
    }
}

impl Clone for Slot {
    /// Not derived, as the copy begins on a cache line of its own.
    fn clone(&self) -> Self {
        let mut slot = Self::new(self.name, self.numbers.len()).expect("memory for a copy of the state");
        slot.numbers_mut().copy_from_slice(self.numbers());
        slot
    }
}

impl<R: Rule> Optimizer<R> {
    /// An optimizer for `len` parameters at the best level of this CPU, in parallel if feature `rayon` is on.
    ///
    /// The state is one `f32` for each parameter and each of the rule's [`slots`](Rule::slots), all zero. Where the
    /// system maps zeroed memory lazily, its pages belong to the threads that first step over them.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if the rule's [`check`](Rule::check) fails, [`Error::Slots`] if its formula does
    /// not take the state that it names, [`Error::Memory`] if there is no room for the state.
    pub fn new(rule: R, len: usize) -> Result<Self, Error> {
        rule.check()?;
        let names = rule.slots();
        rule.at(1, ExpectSlots(names.len()))?;
        let slot = |&name| Slot::new(name, len).ok_or(Error::Memory { slots: names.len(), len });
        let state = names.iter().map(slot).collect::<Result<_, _>>()?;
        Ok(Self { rule, len, steps: 0, state, level: Level::best(), parallelism: Parallelism::default() })
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

    /// One step: updates `params` and the state by the gradients `grads`, and counts.
    ///
    /// The result is the same to the bit whatever the level, the parallelism, the number of threads, the
    /// alignment of the slices, and however the parameters are cut into optimizers. (Which NaN it is may differ.)
    ///
    /// It allocates nothing itself. Rayon allocates a block of its queue now and then when a long step is called
    /// from outside of its pool.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice has not [`len`](Self::len) elements. Nothing has been written then.
    pub fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), Error> {
        for (what, found) in [("params", params.len()), ("grads", grads.len())] {
            if found != self.len {
                return Err(Error::Length { what, expected: self.len, found });
            }
        }
        let steps = self.steps.saturating_add(1);
        let state = self.state.iter_mut().map(Slot::numbers_mut);
        let (level, parallelism) = (self.level, self.parallelism);
        self.rule.at(steps, Sweep { level, parallelism, params, grads, state })?;
        self.steps = steps;
        Ok(())
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        self.rule.lr()
    }

    /// Changes the learning rate, from the next step on.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if the rule does not allow it; the learning rate stays as it was then.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), Error> {
        let mut rule = self.rule.clone();
        rule.set_lr(lr);
        rule.check()?;
        self.rule = rule;
        Ok(())
    }
}

impl<R> Optimizer<R> {
    /// How many steps have been taken.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The state of the name, one number for each parameter; `None` if the rule has no such slot.
    pub fn state(&self, name: &str) -> Option<&[f32]> {
        self.state.iter().find(|slot| slot.name == name).map(Slot::numbers)
    }

    /// The rule.
    pub const fn rule(&self) -> &R {
        &self.rule
    }

    /// How many parameters the optimizer was made for.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it was made for none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The vectors it computes with.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Whether it computes over rayon.
    pub const fn parallelism(&self) -> Parallelism {
        self.parallelism
    }
}

impl<R: fmt::Debug> fmt::Debug for Optimizer<R> {
    /// Without the state, which may be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimizer")
            .field("rule", &self.rule)
            .field("len", &self.len)
            .field("steps", &self.steps)
            .field("level", &self.level)
            .field("parallelism", &self.parallelism)
            .finish_non_exhaustive()
    }
}

/// Looks at a formula's number of slots and nothing else.
struct ExpectSlots(usize);

impl WithFormula for ExpectSlots {
    type Output = Result<(), Error>;

    fn formula<F: Formula<S>, const S: usize>(self, _formula: F) -> Self::Output {
        if self.0 == S { Ok(()) } else { Err(Error::Slots { expected: self.0, found: S }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AdamW;

    #[test]
    fn state_begins_on_a_cache_line_and_nothing_is_written_beside_it() {
        for len in 0..70 {
            let mut optimizer = Optimizer::new(AdamW::default(), len).unwrap();
            optimizer.step(&mut vec![1.0; len], &vec![1.0; len]).unwrap();
            for slot in optimizer.state.iter().chain(&optimizer.clone().state) {
                assert_eq!(slot.numbers().as_ptr().addr() % 64, 0);
                let (before, rest) = slot.memory.split_at(slot.numbers.start);
                assert!(before.iter().chain(&rest[len..]).all(|&x| x.to_bits() == 0));
                assert!(slot.numbers().iter().all(|&x| x > 0.0));
            }
        }
    }
}
