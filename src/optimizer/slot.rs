//! State in memory.

use super::Optimizer;
use crate::buffer::{OF_VECS, apart};
use crate::engine::Tensor;
use crate::store::{BLOCK, Code, Shelf, Stream, block8};
use crate::{Buffer, Error, Format, Lane};
use core::iter;
use core::ops::Range;
use std::sync::Arc;

/// One number of state for each parameter, from zero.
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) code: Code,
    len: usize,
    /// Where the first run of a group begins and where each ends, and blocks with them.
    edges: Arc<[usize]>,
    /// How many bytes all are.
    bytes: usize,
    memory: Buffer,
}

impl Slot {
    /// Apart from what begins at the offsets that are taken.
    pub(super) fn new(
        name: &'static str,
        code: Code,
        edges: &Arc<[usize]>,
        taken: impl Iterator<Item = usize> + Clone,
    ) -> Option<Self> {
        let all = all(edges);
        all.end.checked_mul(8)?; // more than any code takes
        let (len, bytes) = (all.len(), shelves(code, edges).last().map_or(0, |(_, bytes)| bytes.end));
        let memory = Buffer::at(apart(taken), bytes.div_ceil(4))?;
        Some(Self { name, code, len, edges: edges.clone(), bytes, memory })
    }

    pub(super) fn format(&self) -> Format {
        self.code.format()
    }

    /// All bytes, to be stepped.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.memory)[..self.bytes]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.memory)[..self.bytes]
    }

    /// All numbers, if they are kept as they are computed with.
    pub(super) fn plain(&self) -> Option<&[f32]> {
        (self.code == Code::F32).then_some(&self.memory)
    }

    pub(super) fn plain_mut(&mut self) -> Option<&mut [f32]> {
        (self.code == Code::F32).then_some(&mut self.memory)
    }

    /// Some of the numbers, as they are computed with.
    pub(super) fn get(&self, range: Range<usize>, to: &mut [f32]) {
        let mut to = to;
        for (run, bytes) in shelves(self.code, &self.edges) {
            let here = run.start.max(range.start)..run.end.min(range.end);
            if !here.is_empty() {
                let shelf = Shelf { code: self.code, start: run.start, bytes: &self.bytes()[bytes] };
                shelf.read(here.clone(), to.split_off_mut(..here.len()).unwrap_or_default());
            }
        }
    }

    /// Some of the numbers of a run.
    pub(super) fn shelf(&self, range: &Range<usize>) -> Shelf<'_> {
        let holds =
            |(run, _): &(Range<usize>, Range<usize>)| run.start <= range.start && range.start < run.end;
        let (run, bytes) = shelves(self.code, &self.edges).find(holds).unwrap_or_default();
        let (code, bytes) = (self.code, &self.bytes()[bytes]);
        if code.in_blocks() {
            return Shelf { code, start: run.start, bytes };
        }
        let within = |place: usize| (place - run.start) * code.width();
        Shelf { code, start: range.start, bytes: &bytes[within(range.start)..within(range.end)] }
    }

    /// Replaces some of the numbers by those nearest to these that it can keep. Where they are not whole runs in blocks, others of
    /// the same block may be rounded once more.
    pub(super) fn put(&mut self, range: Range<usize>, from: &[f32]) {
        if !self.code.in_blocks() {
            let (code, width, start) = (self.code, self.code.width(), all(&self.edges).start);
            let bytes = &mut self.bytes_mut()[(range.start - start) * width..(range.end - start) * width];
            return Stream { code, bytes }.encode(from);
        }
        let (code, edges, mut numbers) = (self.code, self.edges.clone(), [0.0; BLOCK]);
        for (block, bytes) in blocks(code, &edges, range.clone()) {
            let (numbers, bytes) = (&mut numbers[..block.len()], &mut self.bytes_mut()[bytes]);
            let here = block.start.max(range.start)..block.end.min(range.end);
            block8::decode(code.is_signed(), bytes, numbers);
            numbers[here.start - block.start..here.end - block.start]
                .copy_from_slice(&from[here.start - range.start..here.end - range.start]);
            block8::encode(code.is_signed(), numbers, &[block8::NEAREST; BLOCK], bytes);
        }
    }

    /// Makes zero what is subnormal.
    pub(super) fn flush(&mut self) {
        let code = self.code;
        Stream { code, bytes: self.bytes_mut() }.flush();
    }

    /// Makes the numbers of a run zero.
    pub(super) fn clear(&mut self, run: &Range<usize>) {
        let edges = self.edges.clone();
        for (_, bytes) in shelves(self.code, &edges).filter(|(of, _)| of == run) {
            self.bytes_mut()[bytes].fill(0);
        }
    }

    /// The same numbers in another format.
    pub(super) fn converted(
        &self,
        code: Code,
        taken: impl Iterator<Item = usize> + Clone,
    ) -> Result<Self, Error> {
        let memory = Error::Memory { slots: 1, len: self.len };
        let mut other = Self::new(self.name, code, &self.edges, taken).ok_or(memory)?;
        let mut chunk = [0.0_f32; CHUNK];
        let Range { start, end } = all(&self.edges);
        for start in (start..end).step_by(CHUNK) {
            let range = start..end.min(start + CHUNK);
            let chunk = &mut chunk[..range.len()];
            self.get(range.clone(), chunk);
            // In f16, zeros may have signs.
            chunk.iter_mut().for_each(|x| *x = x.flush());
            // What the system maps lazily stays without memory.
            if chunk.iter().any(|x| x.to_bits() != 0) {
                other.put(range, chunk);
            }
        }
        Ok(other)
    }

    /// The bytes of some numbers, piece by piece, without their scales.
    #[cfg(feature = "checkpoint")]
    pub(super) fn pieces(&self, range: &Range<usize>) -> Vec<&[u8]> {
        codes(self.code, &self.edges, range.clone()).map(|piece| &self.bytes()[piece]).collect()
    }

    #[cfg(feature = "checkpoint")]
    pub(super) fn pieces_mut(&mut self, range: &Range<usize>) -> Vec<&mut [u8]> {
        let (code, edges) = (self.code, self.edges.clone());
        cut_out(self.bytes_mut(), codes(code, &edges, range.clone()))
    }

    /// The scales of the blocks of some numbers.
    #[cfg(feature = "checkpoint")]
    pub(super) fn scales(&self, range: &Range<usize>) -> Vec<&[u8]> {
        scales(self.code, &self.edges, range.clone()).map(|scale| &self.bytes()[scale]).collect()
    }

    #[cfg(feature = "checkpoint")]
    pub(super) fn scales_mut(&mut self, range: &Range<usize>) -> Vec<&mut [u8]> {
        let (code, edges) = (self.code, self.edges.clone());
        cut_out(self.bytes_mut(), scales(code, &edges, range.clone()))
    }

    /// The first of some numbers that is not zero.
    #[cfg(feature = "checkpoint")]
    pub(super) fn first_not_zero(&self, range: Range<usize>) -> Option<usize> {
        let mut chunk = [0.0_f32; CHUNK];
        range.clone().step_by(CHUNK).find_map(|start| {
            let chunk = &mut chunk[..CHUNK.min(range.end - start)];
            self.get(start..start + chunk.len(), chunk);
            chunk.iter().position(|x| *x != 0.0).map(|place| start + place)
        })
    }

    pub(super) fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self { memory: self.memory.try_clone()?, edges: self.edges.clone(), ..*self })
    }

    pub(super) fn offset(&self) -> usize {
        self.memory.offset()
    }
}

/// So many numbers are converted at a time.
const CHUNK: usize = 1 << 10;

/// Each run of a group, and its bytes.
fn shelves(code: Code, edges: &[usize]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut first = 0;
    edges.windows(2).map(move |run| {
        let run = run[0]..run[1];
        let bytes = first..first + code.bytes(run.start, run.len());
        first = bytes.end;
        (run, bytes)
    })
}

/// The places of all numbers.
fn all(edges: &[usize]) -> Range<usize> {
    edges.first().copied().unwrap_or_default()..edges.last().copied().unwrap_or_default()
}

/// The blocks that hold some of a range, or the runs where nothing is in blocks, and their bytes.
fn blocks(
    code: Code,
    edges: &[usize],
    range: Range<usize>,
) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    shelves(code, edges).flat_map(move |(run, bytes)| {
        let (first, end) = (run.start.max(range.start), run.end.min(range.end));
        let mut start = if code.in_blocks() { run.start.max(first / BLOCK * BLOCK) } else { run.start };
        let mut at = bytes.start;
        if first < end {
            at += code.bytes(run.start, start - run.start);
        }
        iter::from_fn(move || {
            if first.max(start) >= end {
                return None;
            }
            let block =
                start..if code.in_blocks() { run.end.min((start / BLOCK + 1) * BLOCK) } else { run.end };
            let bytes = at..at + code.bytes(block.start, block.len());
            (start, at) = (block.end, bytes.end);
            Some((block, bytes))
        })
    })
}

/// Where the bytes of some numbers are, without their scales.
#[cfg(feature = "checkpoint")]
fn codes(code: Code, edges: &[usize], range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let width = code.width();
    blocks(code, edges, range.clone()).map(move |(block, bytes)| {
        let first = bytes.end - width * block.len();
        let place = |place: usize| first + width * (place.clamp(block.start, block.end) - block.start);
        place(range.start)..place(range.end)
    })
}

/// Where the scales of the blocks of some numbers are.
#[cfg(feature = "checkpoint")]
pub(super) fn scales(code: Code, edges: &[usize], range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    blocks(code, edges, range).map(|(block, bytes)| bytes.start..bytes.end - block.len())
}

/// Parts of bytes, in their order.
#[cfg(feature = "checkpoint")]
fn cut_out(bytes: &mut [u8], parts: impl Iterator<Item = Range<usize>>) -> Vec<&mut [u8]> {
    let (mut rest, mut at) = (bytes, 0);
    let cut = |part: Range<usize>| {
        rest.split_off_mut(..part.start - at)?;
        at = part.end;
        rest.split_off_mut(..part.len())
    };
    parts.filter_map(cut).collect()
}

impl<R> Optimizer<R> {
    /// The offsets of pages that new slots are to be apart from.
    pub(super) fn taken(&self) -> impl Iterator<Item = usize> + Clone {
        let average = self.ema.as_ref().map(|ema| &ema.average);
        let callers = self.callers.unwrap_or([OF_VECS; 2]);
        callers.into_iter().chain(self.state.iter().chain(&self.lower).chain(average).map(Slot::offset))
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
        if let Some(lower) = &mut self.lower {
            let taken = callers.into_iter().chain(self.state.iter().map(Slot::offset));
            lower.memory.begin_at(apart(taken));
        }
        if let Some(ema) = &mut self.ema {
            let taken = callers.into_iter().chain(self.state.iter().chain(&self.lower).map(Slot::offset));
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
    fn lower_halves_lie_apart_too() {
        let mut optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), 5000).unwrap();
        optimizer.set_split(true).unwrap();
        optimizer.set_ema(0.9).unwrap();
        let memory = vec![0.0; 5000 + 1024];
        let middle_of_page = (4096 + 2048 - memory.as_ptr().addr() % 4096) % 4096 / 4;
        for settled in [false, true] {
            if settled {
                let grads = &memory[middle_of_page..];
                optimizer.settle(&[crate::Tensor::new(&mut [0.0; 0], grads)]);
            }
            let lower = optimizer.lower.as_ref().unwrap().offset();
            let callers = if settled { 2048 } else { 16 };
            for other in offsets(&optimizer).into_iter().chain([callers]) {
                assert!((448..=4096 - 448).contains(&lower.abs_diff(other)), "{settled}: {lower} {other}");
            }
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
