//! Multiplication of gradients by whatever number is asked for.

use super::Factor;
use crate::Lane;

/// A coefficient of any size. 1 and -1 change no magnitude, not even a subnormal one; all others take and make no subnormal
/// number, as a [`Factor`].
///
/// One that is too small for a normal `f32`, by which huge gradients are still brought to a proper size, is multiplied by in
/// two steps. Under 2^-252 it is zero. All this is for gradients on their way in: in a formula, a [`Factor`] does.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    by: Factor,
    then: f32,
    /// What is kept where nothing is to be multiplied, by the sign of this; zero if something is.
    unit: f32,
}

impl Scale {
    /// The coefficient, rounded once to `f32`; the largest number if it would be infinite.
    #[must_use]
    #[inline(always)] // as that of `Factor`
    #[allow(clippy::float_cmp, reason = "exactly 1 needs no multiplication")]
    pub fn new(by: f64) -> Self {
        const LEAST: f64 = f32::MIN_POSITIVE as f64;
        if by.abs() == 1.0 {
            Self { by: Factor::new(0.0), then: 1.0, unit: by as f32 }
        } else if by.abs() < LEAST {
            Self { by: Factor::above(by / LEAST, 1.0), then: f32::MIN_POSITIVE, unit: 0.0 }
        } else {
            Self { by: Factor::new(by), then: 1.0, unit: 0.0 }
        }
    }

    /// What it multiplies by, if that takes one step.
    pub(crate) fn factor(self) -> Option<Factor> {
        (self.unit == 0.0 && self.then >= 1.0).then_some(self.by)
    }

    /// `x` times the coefficient.
    #[inline(always)]
    pub fn times<L: Lane>(self, x: L) -> L {
        let (zero, unit) = (x.splat(0.0), x.splat(self.unit));
        let scaled = self.by.times(x) * self.then;
        L::select(zero.less(unit), x, L::select(unit.less(zero), x.splat(-0.0) - x, scaled))
    }
}
