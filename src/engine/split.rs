//! Recursive halving over the caller's rayon pool.

use super::{Level, Streams, walk::walk};
use crate::Formula;

/// Halves until a part has at most `grain` elements. Cuts fall on whole lanes, so only the last part has a tail.
pub(super) fn split<F: Formula<S>, const S: usize>(
    level: Level,
    grain: usize,
    formula: &F,
    streams: Streams<'_, S>,
) {
    let len = streams.params.len();
    if len <= grain {
        return walk(level, formula, streams);
    }
    let (left, right) = streams.split_at((len / 2).next_multiple_of(16));
    rayon::join(|| split(level, grain, formula, left), || split(level, grain, formula, right));
}

impl<const S: usize> Streams<'_, S> {
    fn split_at(self, mid: usize) -> (Self, Self) {
        let (params, params_right) = self.params.split_at_mut(mid);
        let (grads, grads_right) = self.grads.split_at(mid);
        let mut halves = self.state.map(|slot| slot.split_at_mut(mid));
        let right = halves.each_mut().map(|(_, right)| core::mem::take(right));
        let state = halves.map(|(left, _)| left);
        (Streams { params, grads, state }, Streams { params: params_right, grads: grads_right, state: right })
    }
}
