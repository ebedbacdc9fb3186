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
    pub(super) fn gradients(&self, level: Level, params: &[f32], grads: &mut [f32]) {
        match self.scale.factor() {
            Some(factor) => pass(level, &Multiplied(factor), grads, params),
            None => pass(level, &Scaled(self.scale), grads, params),
        }
        if self.clip < f32::INFINITY {
            pass(level, &Bounded(-self.clip, self.clip), grads, params);
        }
        if self.l1_decay != 0.0 {
            pass(level, &Drawn(self.l1_decay), grads, params);
        }
    }

    /// Clamps parameters that the formula has updated, beside their gradients.
    pub(super) fn params(&self, level: Level, params: &mut [f32], grads: &[f32]) {
        let (low, high) = self.bounds;
        if low > f32::NEG_INFINITY || high < f32::INFINITY {
            pass(level, &Bounded(low, high), params, grads);
        }
    }
}

/// A condition, and room for a piece of gradients under it.
pub(super) struct Conditioned {
    pub(super) condition: Condition,
    grads: [f32; Self::PIECE],
}

impl Conditioned {
    /// So many elements stay in the nearest cache.
    pub(super) const PIECE: usize = 1 << 10;

    pub(super) const fn new(condition: Condition) -> Self {
        Self { condition, grads: [0.0; Self::PIECE] }
    }

    /// Gradients of a piece as the formula is to see them.
    pub(super) fn gradients(&mut self, level: Level, params: &[f32], grads: &[f32]) -> &[f32] {
        let room = &mut self.grads[..grads.len()];
        room.copy_from_slice(grads);
        self.condition.gradients(level, params, room);
        room
    }
}

/// Changes some numbers, beside others.
fn pass(level: Level, formula: &impl Formula<0>, numbers: &mut [f32], others: &[f32]) {
    let streams: Streams<'_, 0> = Streams { params: numbers, grads: others, state: [] };
    walk(level, formula, streams);
}

/// By any number.
#[derive(Clone, Copy)]
struct Scaled(Scale);

impl Formula<0> for Scaled {
    #[inline(always)]
    fn update<L: Lane>(&self, g: L, _p: L, []: [L; 0]) -> (L, [L; 0]) {
        (self.0.times(g), [])
    }
}

/// By an ordinary number, which takes half as long.
#[derive(Clone, Copy)]
struct Multiplied(Factor);

impl Formula<0> for Multiplied {
    #[inline(always)]
    fn update<L: Lane>(&self, g: L, _p: L, []: [L; 0]) -> (L, [L; 0]) {
        (self.0.times(g), [])
    }
}

/// The least and the largest number that stay.
#[derive(Clone, Copy)]
struct Bounded(f32, f32);

impl Formula<0> for Bounded {
    #[inline(always)]
    fn update<L: Lane>(&self, x: L, _beside: L, []: [L; 0]) -> (L, [L; 0]) {
        (x.clamp(self.0, self.1), [])
    }
}

/// Gradients towards the sign of their parameters.
#[derive(Clone, Copy)]
struct Drawn(f32);

impl Formula<0> for Drawn {
    #[inline(always)]
    fn update<L: Lane>(&self, g: L, p: L, []: [L; 0]) -> (L, [L; 0]) {
        let zero = p.splat(0.0);
        (L::select(zero.less(p), g + self.0, L::select(p.less(zero), g - self.0, g)), [])
    }
}
