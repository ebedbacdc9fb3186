//! State in memory.

use core::ops::Range;

/// One number of state for each parameter, from zero, beginning on a cache line.
pub(super) struct Slot {
    pub(super) name: &'static str,
    memory: Vec<f32>,
    numbers: Range<usize>,
}

impl Slot {
    /// Fresh memory from the system, which maps it when it is first written.
    pub(super) fn new(name: &'static str, len: usize) -> Option<Self> {
        let memory: Vec<f32> = bytemuck::allocation::try_zeroed_vec(len.checked_add(15)?).ok()?;
        let start = memory.as_ptr().align_offset(64).min(15);
        Some(Self { name, memory, numbers: start..start + len })
    }

    pub(super) fn numbers(&self) -> &[f32] {
        &self.memory[self.numbers.clone()]
    }

    #[inline]
    pub(super) fn numbers_mut(&mut self) -> &mut [f32] {
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

#[cfg(test)]
mod tests {
    use crate::{AdamW, Optimizer};

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
