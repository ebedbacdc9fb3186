//! Recursive halving over the caller's rayon pool, along a tree whose shape depends on the length alone.

use core::mem::take;

use super::{Parallelism, Run, Tensor, tensor::Span};

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
        let len = tensors.iter().map(Tensor::len).sum();
        Self { start: 0, len, span: Span::new(tensors), state }
    }

    /// Visits the parts that belong to one group each.
    #[inline(always)]
    pub(super) fn each_run(
        &mut self,
        run: &impl Fn(usize) -> Run,
        mut visit: impl FnMut(Option<usize>, &mut Self),
    ) {
        while self.len > 0 {
            let Run { end, group } = run(self.start);
            let len = end - self.start;
            if len >= self.len {
                return visit(group, self);
            }
            let (mut now, rest) = self.take().split_at(len);
            visit(group, &mut now);
            *self = rest;
        }
    }

    fn take(&mut self) -> Self {
        let state = self.state.each_mut().map(take);
        Self { span: take(&mut self.span), state, ..*self }
    }

    /// State that is empty stays so.
    fn split_at(self, mid: usize) -> (Self, Self) {
        let Self { start, len, span, state } = self;
        let (span, right) = span.split_at(mid);
        let mut halves = state.map(|slot| slot.split_at_mut_checked(mid).unwrap_or_default());
        let state_right = halves.each_mut().map(|(_, right)| take(right));
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
#[inline]
pub(super) fn tree<const N: usize, R: Send>(
    parallelism: Parallelism,
    leaf: usize,
    mut part: Part<'_, '_, N>,
    visit: &(impl Fn(&mut Part<'_, '_, N>) -> R + Sync),
    join: fn(R, R) -> R,
) -> R {
    if part.len <= leaf { visit(&mut part) } else { halves(parallelism, leaf, part, visit, join) }
}

fn halves<const N: usize, R: Send>(
    parallelism: Parallelism,
    leaf: usize,
    part: Part<'_, '_, N>,
    visit: &(impl Fn(&mut Part<'_, '_, N>) -> R + Sync),
    join: fn(R, R) -> R,
) -> R {
    let len = part.len;
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
