//! Parameters in many slices as one.

use lanestep::Element;
use std::ops::Range;

/// Slices laid end to end.
pub(crate) struct Pieces<'a, 'p, P> {
    slices: &'a mut [&'p mut [P]],
    /// Where each begins, and where all end.
    starts: Vec<usize>,
}

impl<'a, 'p, P: Element> Pieces<'a, 'p, P> {
    pub(crate) fn new(slices: &'a mut [&'p mut [P]]) -> Self {
        let ends = slices.iter().scan(0_usize, |at, slice| {
            *at += slice.len();
            Some(*at)
        });
        let starts = [0].into_iter().chain(ends).collect();
        Self { slices, starts }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts[self.slices.len()]
    }

    /// The slices of a range, the first and the last of which may be a piece of one.
    pub(crate) fn of(&mut self, range: Range<usize>) -> impl Iterator<Item = &mut [P]> {
        let first = self.starts[1..].partition_point(|end| *end <= range.start);
        let starts = &self.starts[first..];
        let here = self.slices[first..].iter_mut().zip(starts);
        let until = range.end;
        here.take_while(move |(_, start)| **start < until).map(move |(slice, start)| {
            let place = |at: usize| (at.max(*start) - start).min(slice.len());
            let (from, to) = (place(range.start), place(range.end));
            &mut slice[from..to]
        })
    }

    /// Copies a range to bytes.
    pub(crate) fn get(&mut self, range: Range<usize>, bytes: &mut Vec<u8>) {
        bytes.clear();
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
}
