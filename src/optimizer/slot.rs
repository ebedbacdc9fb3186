//! State in memory.

use super::Optimizer;
use crate::buffer::{OF_VECS, apart};
use crate::engine::Tensor;
use crate::store::{Source, Stream};
use crate::{Buffer, Error, Format};
use core::ops::Range;

/// One number of state for each parameter, from zero.
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) format: Format,
    len: usize,
    memory: Buffer,
}

impl Slot {
    /// Apart from what begins at the offsets that are taken.
    pub(super) fn new(
        name: &'static str,
        format: Format,
        len: usize,
        taken: impl Iterator<Item = usize> + Clone,
    ) -> Option<Self> {
        let memory = Buffer::at(apart(taken), len.checked_mul(format.bytes())?.div_ceil(4))?;
        Some(Self { name, format, len, memory })
    }

    /// All numbers, to be stepped.
    pub(super) fn stream(&mut self) -> Stream<'_> {
        self.part(0..self.len)
    }

    /// All numbers, if they are kept as they are computed with.
    pub(super) fn plain(&self) -> Option<&[f32]> {
        (self.format == Format::F32).then_some(&self.memory)
    }

    pub(super) fn plain_mut(&mut self) -> Option<&mut [f32]> {
        (self.format == Format::F32).then_some(&mut self.memory)
    }

    /// All of them, to be read.
    #[cfg(feature = "checkpoint")]
    pub(super) fn all(&self) -> Source<'_> {
        self.source(0..self.len)
    }

    /// Some of them, to be read.
    pub(super) fn source(&self, range: Range<usize>) -> Source<'_> {
        Source::of(self.format, &bytemuck::cast_slice(&self.memory)[self.in_bytes(range)])
    }

    /// Some of them.
    pub(super) fn part(&mut self, range: Range<usize>) -> Stream<'_> {
        let range = self.in_bytes(range);
        Stream::of(self.format, &mut bytemuck::cast_slice_mut(&mut self.memory)[range])
    }

    const fn in_bytes(&self, range: Range<usize>) -> Range<usize> {
        range.start * self.format.bytes()..range.end * self.format.bytes()
    }

    /// Some of the numbers, as they are computed with.
    pub(super) fn get(&self, range: Range<usize>, to: &mut [f32]) {
        self.source(range).decode(to);
    }

    /// Replaces some of the numbers by what these are rounded to.
    pub(super) fn put(&mut self, range: Range<usize>, from: &[f32]) {
        self.part(range).encode(from);
    }

    /// The same numbers in another format.
    pub(super) fn converted(
        &self,
        format: Format,
        taken: impl Iterator<Item = usize> + Clone,
    ) -> Result<Self, Error> {
        let memory = Error::Memory { slots: 1, len: self.len };
        let mut other = Self::new(self.name, format, self.len, taken).ok_or(memory)?;
        let mut chunk = [0.0_f32; CHUNK];
        for start in (0..self.len).step_by(CHUNK) {
            let range = start..self.len.min(start + CHUNK);
            let chunk = &mut chunk[..range.len()];
            self.get(range.clone(), chunk);
            // What the system maps lazily stays without memory.
            if chunk.iter().any(|x| x.to_bits() != 0) {
                other.put(range, chunk);
            }
        }
        Ok(other)
    }

    pub(super) fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { memory: self.memory.try_clone()?, ..*self })
    }

    pub(super) fn offset(&self) -> usize {
        self.memory.offset()
    }
}

/// So many numbers are converted at a time.
const CHUNK: usize = 1 << 10;

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
            after[0].memory.begin_at(apart(taken));
        }
        if let Some(ema) = &mut self.ema {
            let taken = callers.into_iter().chain(self.state.iter().map(Slot::offset));
            ema.average.memory.begin_at(apart(taken));
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
