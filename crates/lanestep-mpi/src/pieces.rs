//! Parameters in many slices as one.

use lanestep::{Element, Tensor};
use std::hash::Hasher;
use std::ops::Range;

/// Slices laid end to end.
pub(crate) struct Pieces<'a, 'p, P> {
    slices: &'a mut [&'p mut [P]],
    /// Where each begins, and where all end.
    starts: Vec<usize>,
}

impl<'a, 'p, P: Element> Pieces<'a, 'p, P> {
    pub(crate) fn new(slices: &'a mut [&'p mut [P]]) -> Self {
        let ends = slices.iter().scan(0, |at, slice| {
            *at += slice.len();
            Some(*at)
        });
        let starts = [0].into_iter().chain(ends).collect();
        Self { slices, starts }
    }

    /// How long each slice is.
    pub(crate) fn lens(&self) -> Vec<usize> {
        self.slices.iter().map(|slice| slice.len()).collect()
    }

    /// The slices of a range, the first and the last of which may be a piece of one. Of the range of all, those that are empty too, as a
    /// layout with names knows them.
    fn of(&mut self, range: Range<usize>) -> impl Iterator<Item = &mut [P]> {
        let all = range.len() == self.starts[self.slices.len()];
        let first = self.starts[1..].partition_point(|end| *end <= range.start);
        let first = if all { 0 } else { first };
        let here = self.slices[first..].iter_mut().zip(&self.starts[first..]);
        let Range { start: from, end: to } = range;
        here.take_while(move |(_, start)| all || **start < to).map(move |(slice, start)| {
            let end = (to - start).min(slice.len());
            &mut slice[from.saturating_sub(*start)..end]
        })
    }

    /// Tensors of a range, with these gradients.
    pub(crate) fn with<'t>(&'t mut self, range: Range<usize>, grads: &'t [f32]) -> Vec<Tensor<'t>> {
        let mut rest = grads;
        let tensor = |piece: &'t mut [P]| {
            let (here, after) = rest.split_at(piece.len());
            rest = after;
            Tensor::new(piece, here)
        };
        self.of(range).map(tensor).collect()
    }

    /// Tensors of a range, alone.
    pub(crate) fn alone(&mut self, range: Range<usize>) -> Vec<Tensor<'_>> {
        self.of(range).map(|piece| Tensor::of(piece)).collect()
    }

    /// Copies a range to bytes.
    pub(crate) fn get(&mut self, range: Range<usize>, bytes: &mut Vec<u8>) {
        bytes.clear();
        // Without memory its address would be 1, which is what Open MPI calls `MPI_IN_PLACE`.
        bytes.reserve(1);
        self.of(range).for_each(|piece| bytes.extend_from_slice(bytemuck::cast_slice(piece)));
    }

    /// Copies bytes to a range.
    pub(crate) fn put(&mut self, range: Range<usize>, mut bytes: &[u8]) {
        for piece in self.of(range) {
            let (here, rest) = bytes.split_at(size_of_val(piece));
            bytemuck::cast_slice_mut(piece).copy_from_slice(here);
            bytes = rest;
        }
    }

    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        self.slices.iter().for_each(|slice| hasher.write(bytemuck::cast_slice(slice)));
    }
}

/// Those of a range, of slices that are only read.
pub(crate) fn of_range<'a, P>(slices: &[&'a [P]], range: &Range<usize>) -> Vec<&'a [P]> {
    let all = range.len() == slices.iter().map(|slice| slice.len()).sum::<usize>();
    let mut start = 0;
    let piece = |slice: &&'a [P]| {
        let within = |place: usize| place.clamp(start, start + slice.len()) - start;
        let here = within(range.start)..within(range.end);
        start += slice.len();
        &slice[here]
    };
    slices.iter().map(piece).filter(|piece| all || !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_cut_out_of_every_slice() {
        let mut numbers: Vec<f32> = (0..10_u8).map(f32::from).collect();
        for from in 0..=10 {
            for to in from..=10 {
                let (left, right) = numbers.split_at_mut(4);
                let (right, last) = right.split_at_mut(3);
                let mut slices = [&mut [][..], left, &mut [], &mut [], right, last, &mut []];
                let mut pieces = Pieces::new(&mut slices);
                let found: Vec<f32> = pieces.of(from..to).flat_map(|piece| piece.to_vec()).collect();
                assert_eq!(found, (from..to).map(|i| i as f32).collect::<Vec<f32>>());
                let mut bytes = Vec::new();
                pieces.get(from..to, &mut bytes);
                pieces.put(from..to, &bytes);
                let slices: Vec<&[f32]> = slices.iter().map(|slice| &**slice).collect();
                let read = of_range(&slices, &(from..to));
                assert_eq!((read.concat(), to - from < 10 || read.len() == 7), (found, true));
            }
        }
        assert_eq!(numbers, (0..10_u8).map(f32::from).collect::<Vec<_>>());
    }
}
