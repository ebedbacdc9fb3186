//! Exponential moving averages: of a number, and of its square.

use super::factor::{Factor, floor};
use crate::Lane;

/// A moving average, `m + (1 - beta) * (x - m)`.
///
/// Where the step would be subnormal the average arrives: it becomes `x`. So it comes to rest at a constant `x`, which for
/// a gradient of zero is zero. With a `beta` of 0 it always arrives.
///
/// For a `beta` under a half, `torch.lerp` computes from the other end, `x + beta * (m - x)`, which is more exact where `x`
/// is much smaller than `m`: the error here is at most that of `m`'s own last place or two.
#[derive(Clone, Copy, Debug)]
pub struct Average {
    step: f32,
    floor: f32,
}

impl Average {
    /// An average that keeps `beta` of itself, in `[0, 1)`.
    #[must_use]
    #[inline(always)] // as that of `Factor`
    pub fn new(beta: f64) -> Self {
        let step = (1.0 - beta) as f32;
        Self { step, floor: if step < 1.0 { floor(step) } else { f32::INFINITY } }
    }

    /// The average `m` after seeing `x`.
    #[inline(always)]
    pub fn update<L: Lane>(self, m: L, x: L) -> L {
        let apart = x - m;
        L::select(apart.at_least(self.floor), m, x) + apart.times(self.step, self.floor)
    }
}

/// A moving average of squares, `v * beta + ((1 - beta) * x) * x`, which is never subnormal.
///
/// An `x` that is too small for that counts as the least that is not, 3.4e-18 with a `beta` of 0.999. So the average is
/// never below that squared once it is full, needs no look at itself, and is no zero to divide by.
#[derive(Clone, Copy, Debug)]
pub struct AverageSquare {
    beta: f32,
    rest: f32,
    least: f32,
}

impl AverageSquare {
    /// An average that keeps `beta` of itself, in `[0, 1]`.
    #[must_use]
    #[inline(always)] // as that of `Factor`
    pub fn new(beta: f64) -> Self {
        let (beta, rest) = (beta as f32, (1.0 - beta) as f32);
        // The term alone is to be normal even after the next step has multiplied it by `beta`, unless that is next to
        // nothing. Two more units in the last place outweigh all roundings on the way.
        let share = if beta < f32::EPSILON { f32::EPSILON } else { beta };
        let least = (floor(share) / rest).sqrt().next_up().next_up();
        Self { beta, rest, least: if least.is_finite() { least } else { 0.0 } }
    }

    /// The average `v` after seeing `x`.
    #[inline(always)]
    pub fn update<L: Lane>(self, v: L, x: L) -> L {
        let x = x.abs().no_less_than(self.least);
        v * self.beta + x * self.rest * x
    }
}

/// A moving average as most papers write it, `beta * m + (1 - beta) * x`: no farther from the truth than [`Average`], but
/// one formula for every `beta`.
#[derive(Clone, Copy, Debug)]
pub struct Blend {
    keep: Factor,
    rest: Factor,
}

impl Blend {
    /// An average that keeps `beta` of itself, in `[0, 1]`.
    #[must_use]
    #[inline(always)] // as that of `Factor`
    pub fn new(beta: f64) -> Self {
        Self { keep: Factor::new(beta), rest: Factor::new(1.0 - beta) }
    }

    /// The average `m` after seeing `x`.
    #[inline(always)]
    pub fn update<L: Lane>(self, m: L, x: L) -> L {
        self.keep.times(m) + self.rest.times(x)
    }
}
