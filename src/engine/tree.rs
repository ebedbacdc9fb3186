//! Recursive halving over the caller's rayon pool, along a tree whose shape depends on the length alone.

use super::codes::Codes;
use super::fold::LEAF;
use super::{Parallelism, Run, STREAMS, Tensor, tensor::Span};
use core::mem::take;

/// Consecutive elements of a call: parameters with gradients, and the numbers that the optimizer keeps for each.
pub(super) struct Part<'s, 'a, 'b> {
    /// Where it begins in the call.
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
        tensors: &'a mut [Tensor<'b>],
        state: &'s mut [&'a mut [u8]],
        codes: &'s Codes<'s>,
    ) -> Self {
        let len = tensors.iter().map(Tensor::len).sum();
        Self { start: 0, len, span: Span::new(tensors), state, codes }
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
