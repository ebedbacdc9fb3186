//! State in memory.

use super::Optimizer;
use crate::buffer::{OF_VECS, apart};
use crate::engine::Tensor;
use crate::{Buffer, Error};

/// One number of state for each parameter, from zero.
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) numbers: Buffer,
}

impl Slot {
    /// Apart from what begins at the offsets that are taken.
    pub(super) fn new(
        name: &'static str,
        len: usize,
        taken: impl Iterator<Item = usize> + Clone,
    ) -> Option<Self> {
        Some(Self { name, numbers: Buffer::at(apart(taken), len)? })
    }

    pub(super) fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { name: self.name, numbers: self.numbers.try_clone()? })
    }

    pub(super) fn offset(&self) -> usize {
        self.numbers.offset()
    }
}

impl<R> Optimizer<R> {
    /// The offsets of pages that new slots are to be apart from.
    pub(super) fn taken(&self) -> impl Iterator<Item = usize> + Clone {
        let average = self.ema.as_ref().map(|ema| &ema.average);
        let callers = self.callers.unwrap_or([OF_VECS; 2]);
        callers.into_iter().chain(self.state.iter().chain(average).map(Slot::offset))
    }

    /// State that is no longer zero stays where it is.
    pub(super) fn settled(&mut self) {
        self.callers.get_or_insert([OF_VECS; 2]);
    }

    /// Before the first step, when the state is still zero and the caller's slices are known. Of many tensors no two begin
    /// at the same offset, and the state of each has another again.
    #[cold]
    pub(super) fn settle(&mut self, tensors: &[Tensor<'_>]) {
        let callers = if let [tensor] = tensors { tensor.offsets() } else { [OF_VECS; 2] };
        self.callers = Some(callers);
        for k in 0..self.state.len() {
            let (before, after) = self.state.split_at_mut(k);
            let taken = callers.into_iter().chain(before.iter().map(Slot::offset));
            after[0].numbers.begin_at(apart(taken));
        }
        if let Some(ema) = &mut self.ema {
            let taken = callers.into_iter().chain(self.state.iter().map(Slot::offset));
            ema.average.numbers.begin_at(apart(taken));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Slot;
    use crate::{AdamW, Adan, AnyRule, Lion, Optimizer};

    fn offsets(optimizer: &Optimizer<AnyRule>) -> Vec<usize> {
        let average = optimizer.ema.iter().map(|ema| &ema.average);
        optimizer.state.iter().chain(average).map(Slot::offset).collect()
    }

    /// The offsets, which are so far apart from each other and from what else begins in a page.
    fn apart(optimizer: &Optimizer<AnyRule>, others: [usize; 2], least: usize) -> Vec<usize> {
        let all = [&others[..], &offsets(optimizer)].concat();
        for (i, a) in all.iter().enumerate().skip(2) {
            for b in &all[..i] {
                assert!((least..=4096 - least).contains(&a.abs_diff(*b)), "{all:?}");
            }
        }
        offsets(optimizer)
    }

    #[test]
    fn slots_lie_apart_also_after_a_switch_and_in_a_copy() {
        let mut optimizer = Optimizer::<AnyRule>::new(Adan::default().into(), 5000).unwrap();
        optimizer.set_ema(0.9).unwrap();
        assert_eq!(apart(&optimizer, [16; 2], 448).len(), 5);
        for rule in [AnyRule::from(Lion::default()), AdamW::default().into(), Adan::default().into()] {
            optimizer.set_rule(0, rule).unwrap();
            assert_eq!(apart(&optimizer, [16; 2], 448), offsets(&optimizer.clone()));
        }
    }

    #[test]
    fn the_first_step_puts_them_apart_from_its_slices_and_later_ones_leave_them() {
        let memory = vec![0.0; 5000 + 1024];
        let place = |offset: usize| {
            let memory = memory.clone();
            let start = (4096 + offset - memory.as_ptr().addr() % 4096) % 4096 / 4;
            (memory, start..start + 5000)
        };
        for (a, b) in [(16, 16), (1024, 1040), (2032, 48), (4080, 2048), (640, 4032)] {
            let mut optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), 5000).unwrap();
            let ((mut params, here), (grads, there)) = (place(a), place(b));
            optimizer.step(&mut params[here.clone()], &grads[there.clone()]).unwrap();
            let first = apart(&optimizer, [a, b], 448);
            optimizer.set_ema(0.9).unwrap();
            apart(&optimizer, [a, b], 448);
            assert!(optimizer.state("exp_avg_sq").unwrap().iter().all(|&x| x > 0.0));
            optimizer.step(&mut params[there], &grads[here]).unwrap();
            assert_eq!(first, offsets(&optimizer)[..2]);
        }
    }
}
