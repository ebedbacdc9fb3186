//! Multiplication that never makes a subnormal number.

use crate::Lane;

/// A coefficient that takes and makes no subnormal number: where one would be, it is zero. For whatever gradients, state or
/// parameters are multiplied by.
///
/// A subnormal operand or product costs some CPUs over a hundred cycles, so the operand is replaced by zero
/// *before* it is multiplied.
#[derive(Clone, Copy, Debug)]
pub struct Factor {
    by: f32,
    floor: f32,
}

impl Factor {
    /// The coefficient, rounded once to `f32`; zero if it would be subnormal, and the largest number if it would be
    /// infinite.
    #[must_use]
    #[inline(always)] // so that it is left out where the result is not asked for
    pub fn new(by: f64) -> Self {
        Self::above(by, f32::MIN_POSITIVE)
    }

    /// The same, for products that are to be zero where they are under `least`, which is not subnormal.
    #[inline(always)]
    pub(super) fn above(by: f64, least: f32) -> Self {
        let by = Lane::clamp(Lane::flush(by as f32), f32::MIN, f32::MAX);
        Self { by, floor: floor(by, least) }
    }

    /// `x * by`.
    #[inline(always)]
    pub fn times<L: Lane>(self, x: L) -> L {
        x.zero_below(self.floor) * self.by
    }

    /// `x * by / root`, of a coefficient that is not negative: the same bits by an instruction less, where a CPU can multiply
    /// under a mask.
    #[inline(always)]
    pub fn times_over<L: Lane>(self, x: L, root: L) -> L {
        x.times(self.by, self.floor) / root
    }
}

/// `x * x`, zero where that would be subnormal. For squares that an [`AverageSquare`](super::AverageSquare) does not take.
#[inline(always)]
pub fn square<L: Lane>(x: L) -> L {
    /// The smallest number whose square is normal.
    const FLOOR: f32 = 1.0 / (1_u64 << 63) as f32;
    let x = x.zero_below(FLOOR);
    x * x
}

/// The smallest normal magnitude whose product with `by` is not under `least`.
#[inline(always)]
pub(super) fn floor(by: f32, least: f32) -> f32 {
    if by.abs() > 1.0 { f32::MIN_POSITIVE } else { least / by.abs() }
}
