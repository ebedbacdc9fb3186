//! What a step is told about any rule's gradients and parameters.
//!
//! It is done around the formula and not in it, piece by piece in the nearest cache, so that its loops are compiled once and
//! not for each formula.

use super::Level;
use super::walk::{Streams, walk};
use crate::formula::{Factor, Scale};
use crate::{Formula, Lane};

/// The gradient scaled, then clamped, then drawn towards the parameter's sign, before the formula; the parameter clamped
/// after it. NaN stays NaN.
///
/// Infinite bounds clamp nothing, no L1 decay adds nothing, and a scale of 1 leaves the gradient as it is. `maximize` is a
/// scale of -1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    /// What the gradient is multiplied by.
    pub(crate) scale: Scale,
    /// The largest magnitude of a gradient that stays.
    pub(crate) clip: f32,
    /// L1 decay: what is added to the gradient of a parameter above zero, and subtracted below.
    pub(crate) l1_decay: f32,
    /// The least and the largest parameter that stay.
    pub(crate) bounds: (f32, f32),
}

impl Condition {
    /// Makes of gradients what the formula is to see, beside parameters that it has not updated yet.
    pub(super) fn gradients(&self, level: Level, params: &[f32], grads: &[f32], to: &mut [f32]) {
        let over: Streams<'_, 0> = Streams { params: to, grads, state: [] };
        if self.clip < f32::INFINITY || self.l1_decay != 0.0 {
            over.params.copy_from_slice(grads);
            walk(level, &Conditioned(*self), Streams { grads: params, ..over });
        } else if let Some(factor) = self.scale.factor() {
            walk(level, &Multiplied(factor), over);
        } else {
            walk(level, &Scaled(self.scale), over);
        }
    }

    /// The same in place.
    pub(super) fn apply(&self, level: Level, params: &[f32], grads: &mut [f32]) {
        let over: Streams<'_, 0> = Streams { params: grads, grads: params, state: [] };
        walk(level, &Conditioned(*self), over);
    }

    /// Clamps parameters that the formula has updated.
    pub(super) fn params(&self, level: Level, params: &mut [f32], grads: &[f32]) {
        if self.bounds != (f32::NEG_INFINITY, f32::INFINITY) {
            let over: Streams<'_, 0> = Streams { params, grads, state: [] };
            walk(level, &Bounded(self.bounds), over);
        }
    }
}

/// Of gradients, with what becomes of them in the place of parameters.
#[derive(Clone, Copy)]
struct Scaled(Scale);

impl Formula<0> for Scaled {
    #[inline(always)]
    fn update<L: Lane>(&self, _to: L, g: L, []: [L; 0]) -> (L, [L; 0]) {
        (self.0.times(g), [])
    }
}

/// The same by an ordinary number, which takes half as long.
#[derive(Clone, Copy)]
struct Multiplied(Factor);

impl Formula<0> for Multiplied {
    #[inline(always)]
    fn update<L: Lane>(&self, _to: L, g: L, []: [L; 0]) -> (L, [L; 0]) {
        (self.0.times(g), [])
    }
}

/// Of gradients in the place of parameters, and parameters in that of gradients.
#[derive(Clone, Copy)]
struct Conditioned(Condition);

impl Formula<0> for Conditioned {
    #[inline(always)]
    fn update<L: Lane>(&self, g: L, p: L, []: [L; 0]) -> (L, [L; 0]) {
        let Condition { scale, clip, l1_decay, .. } = self.0;
        let zero = p.splat(0.0);
        let below = L::select(p.less(zero), p.splat(-l1_decay), zero);
        let decay = L::select(zero.less(p), p.splat(l1_decay), below);
        (scale.times(g).clamp(-clip, clip) + decay, [])
    }
}

/// Of parameters alone.
#[derive(Clone, Copy)]
struct Bounded((f32, f32));

impl Formula<0> for Bounded {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, _g: L, []: [L; 0]) -> (L, [L; 0]) {
        (p.clamp(self.0.0, self.0.1), [])
    }
}
