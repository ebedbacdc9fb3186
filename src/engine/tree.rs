//! Recursive halving over the caller's rayon pool, along a tree whose shape depends on the length alone.

use super::codes::Codes;
use super::fold::LEAF;
use super::{Parallelism, Run, STREAMS, Tensor, tensor::Span};
use core::mem::take;
use core::ops::Range;

/// Consecutive elements of a call: parameters with gradients, and the numbers that the optimizer keeps for each.
pub(super) struct Part<'s, 'a, 'b> {
    /// The place of the first.
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) span: Span<'a, 'b>,
    /// By reference, as so many slices would be moved about in every step. What there is none of is empty.
    pub(super) state: &'s mut [&'a mut [u8]],
    /// How each of them is kept.
    pub(super) codes: &'s Codes<'s>,
}

/// Room for the state of a part that was taken out of another.
pub(super) type Room<'a> = [&'a mut [u8]; STREAMS];

impl<'s, 'a, 'b> Part<'s, 'a, 'b> {
    pub(super) fn new(
        start: usize,
        tensors: &'a mut [Tensor<'b>],
        state: &'s mut [&'a mut [u8]],
        codes: &'s Codes<'s>,
    ) -> Self {
        let len = tensors.iter().map(Tensor::len).sum();
        Self { start, len, span: Span::new(tensors), state, codes }
    }

    /// Takes out the first `len` elements. State that is empty stays so.
    pub(super) fn take_front<'r>(&mut self, len: usize, room: &'r mut Room<'a>) -> Part<'r, 'a, 'b>
    where
        's: 'r,
    {
        let start = self.start;
        let (span, rest) = take(&mut self.span).split_at(len);
        for ((front, slot), code) in room.iter_mut().zip(&mut *self.state).zip(self.codes.all) {
            if !slot.is_empty() {
                (*front, *slot) = take(slot).split_at_mut(self.codes.bytes(code, start, len));
            }
        }
        (self.start, self.len, self.span) = (start + len, self.len - len, rest);
        Part { start, len, span, state: room, codes: self.codes }
    }

    /// Visits the parts that belong to one group each.
    #[inline(always)]
    pub(super) fn each_run(
        &mut self,
        run: &impl Fn(usize) -> Run,
        mut visit: impl FnMut(Option<usize>, &mut Part<'_, 'a, 'b>),
    ) {
        while self.len > 0 {
            let Run { end, group, .. } = run(self.start);
            let len = end - self.start;
            if len >= self.len {
                return visit(group, self);
            }
            visit(group, &mut self.take_front(len, &mut Room::default()));
        }
    }
}

/// Cuts at the largest power of two below the length until a part is a [`LEAF`], and joins the results in pairs on the way
/// back, so that sums are always the same. Both sides of a cut may run at once where `parallelism` allows it.
#[inline]
pub(super) fn tree<R: Send>(
    parallelism: Parallelism,
    part: &mut Part<'_, '_, '_>,
    visit: &(impl Fn(&mut Part<'_, '_, '_>) -> R + Sync),
    join: fn(R, R) -> R,
) -> R {
    if part.len <= LEAF { visit(part) } else { halves(parallelism, part, visit, join) }
}

fn halves<R: Send>(
    parallelism: Parallelism,
    right: &mut Part<'_, '_, '_>,
    visit: &(impl Fn(&mut Part<'_, '_, '_>) -> R + Sync),
    join: fn(R, R) -> R,
) -> R {
    let (len, mut room) = (right.len, Room::default());
    let left = &mut right.take_front(1 << (len - 1).ilog2(), &mut room);
    let left = || tree(parallelism, left, visit, join);
    let right = || tree(parallelism, right, visit, join);
    let (left, right) = both(parallelism, len, left, right);
    join(left, right)
}

/// The results of leaves that the tree has visited, joined as it would have.
pub(crate) fn joined<T: Copy>(leaves: &[T], join: fn(T, T) -> T) -> Option<T> {
    if let [] | [_] = leaves {
        return leaves.first().copied();
    }
    let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
    joined(left, join).zip(joined(right, join)).map(|(left, right)| join(left, right))
}

/// Keeps the results of leaves apart, in order.
pub(super) fn listed<T>(mut left: Vec<T>, right: Vec<T>) -> Vec<T> {
    left.extend(right);
    left
}

/// What is found in each of some leaves, in order.
pub(super) fn over<T: Send>(
    parallelism: Parallelism,
    leaves: &[Range<usize>],
    visit: &(impl Fn(Range<usize>) -> T + Sync),
) -> Vec<T> {
    if let [] | [_] = leaves {
        return leaves.iter().cloned().map(visit).collect();
    }
    let (left, right) = leaves.split_at(leaves.len() / 2);
    let halves = [left, right].map(|half| move || over(parallelism, half, visit));
    let [left, right] = halves;
    let (left, right) = both(parallelism, leaves.len() * LEAF, left, right);
    listed(left, right)
}

/// Two things to do with `len` elements, at once if that is worth waking a thread.
pub(super) fn both<R: Send>(
    parallelism: Parallelism,
    len: usize,
    left: impl FnOnce() -> R + Send,
    right: impl FnOnce() -> R + Send,
) -> (R, R) {
    if len <= parallelism.grain() {
        return (left(), right());
    }
    #[cfg(feature = "rayon")]
    return rayon::join(left, right);
    #[cfg(not(feature = "rayon"))]
    (left(), right())
}
