//! Recursive halving over the caller's rayon pool, along a tree whose shape depends on the length alone.

use super::{Parallelism, Tensor, tensor::Span};

/// Consecutive elements of a call: parameters with gradients, and `N` numbers for each that the optimizer keeps.
pub(super) struct Part<'a, 'b, const N: usize> {
    /// Where it begins in the call.
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) span: Span<'a, 'b>,
    pub(super) state: [&'a mut [f32]; N],
}

impl<'a, 'b, const N: usize> Part<'a, 'b, N> {
    pub(super) fn new(tensors: &'a mut [Tensor<'b>], state: [&'a mut [f32]; N]) -> Self {
        let len = tensors.iter().map(|tensor| tensor.params.len()).sum();
        Self { start: 0, len, span: Span::new(tensors), state }
    }

    /// State that is empty stays so.
    pub(super) fn split_at(self, mid: usize) -> (Self, Self) {
        let Self { start, len, span, state } = self;
        let (span, right) = span.split_at(mid);
        let mut halves = state.map(|slot| slot.split_at_mut_checked(mid).unwrap_or_default());
        let state_right = halves.each_mut().map(|(_, right)| core::mem::take(right));
        let state = halves.map(|(left, _)| left);
        (
            Self { start, len: mid, span, state },
            Self { start: start + mid, len: len - mid, span: right, state: state_right },
        )
    }
}

/// Cuts at the largest power of two below the length until a part has at most `leaf` elements, and joins the results
/// in pairs on the way back. Both sides of a cut may run at once where `parallelism` allows it.
///
/// So lanes stay whole, and with a `leaf` that is always the same, so are the sums.
pub(super) fn tree<const N: usize, R: Send>(
    parallelism: Parallelism,
    leaf: usize,
    part: Part<'_, '_, N>,
    visit: &(impl Fn(Part<'_, '_, N>) -> R + Sync),
    join: fn(R, R) -> R,
) -> R {
    let len = part.len;
    if len <= leaf {
        return visit(part);
    }
    let (left, right) = part.split_at(1 << (len - 1).ilog2());
    let left = || tree(parallelism, leaf, left, visit, join);
    let right = || tree(parallelism, leaf, right, visit, join);
    #[cfg(feature = "rayon")]
    if len > parallelism.grain() {
        let (left, right) = rayon::join(left, right);
        return join(left, right);
    }
    join(left(), right())
}
