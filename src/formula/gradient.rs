//! What is done to a gradient before any formula sees it.

use super::{Factor, Formula};
use crate::Lane;

/// The gradient clamped to `[-clip, clip]` and scaled. NaN stays NaN.
///
/// `maximize` is a scale of -1. One decorator for both, because each more type doubles the loops that are compiled:
/// `clip: f32::INFINITY` clamps nothing, and a scale of 1 only makes a subnormal number or -0 a zero.
#[derive(Clone, Copy, Debug)]
pub struct Condition<F> {
    /// The largest magnitude that stays.
    pub clip: f32,
    /// What the gradient is multiplied by.
    pub scale: Factor,
    /// What is decorated.
    pub then: F,
}

impl<F: Formula<S>, const S: usize> Formula<S> for Condition<F> {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]) {
        let g = g.max(g.splat(-self.clip)).min(g.splat(self.clip));
        self.then.update(p, self.scale.times(g), s)
    }
}
