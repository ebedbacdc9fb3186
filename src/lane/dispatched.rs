//! Sixteen numbers through `fearless_simd`, in vectors found at run time.

use super::{Lane, Vector};
use fearless_simd::{Level, Simd, f32x16, i32x16, mask32x16, prelude::*};

impl<S: Simd> super::Sealed for f32x16<S> {}

impl<S: Simd> Lane for f32x16<S> {
    type Mask = mask32x16<S>;

    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        SimdBase::splat(self.token(), value)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        SimdFloat::sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        SimdBase::abs(self)
    }

    #[inline(always)]
    fn less(self, than: Self) -> Self::Mask {
        self.simd_lt(than)
    }

    #[inline(always)]
    fn at_least(self, bound: f32) -> Self::Mask {
        // As integers, because the compiler sees through an integer comparison and folds it into what follows.
        // Magnitudes are in the same order as their bits, NaN above all.
        let bound = if bound > 0.0 { bound } else { 0.0 };
        let magnitude: i32x16<S> = SimdBase::abs(self).bitcast();
        magnitude.simd_gt(bound.to_bits().cast_signed() - 1)
    }

    #[inline(always)]
    fn times(self, by: f32, floor: f32) -> Self {
        if matches!(self.token().level(), Level::Avx512(_)) {
            // The compiler makes a multiplication under the mask of it.
            return Select::select(self.at_least(floor), self * by, SimdBase::splat(self.token(), 0.0));
        }
        self.zero_below(floor) * by
    }

    #[inline(always)]
    #[allow(clippy::disallowed_methods, reason = "on x86, the second of two operands where one is NaN")]
    fn no_less_than(self, least: f32) -> Self {
        SimdBase::max(SimdBase::splat(self.token(), least), self)
    }

    #[inline(always)]
    #[allow(clippy::disallowed_methods, reason = "on x86, the second where one is NaN or both are zero")]
    fn clamp(self, low: f32, high: f32) -> Self {
        let [low, high]: [Self; 2] = [low, high].map(
            #[inline(always)]
            |bound| SimdBase::splat(self.token(), bound),
        );
        SimdBase::min(high, SimdBase::max(low, self))
    }

    #[inline(always)]
    fn flush(self) -> Self {
        let bits: i32x16<S> = self.bitcast();
        let exponent = bits & f32::INFINITY.to_bits().cast_signed();
        Select::select(exponent.simd_eq(0), SimdBase::splat(self.token(), 0.0), self)
    }

    #[inline(always)]
    fn is_nan(self) -> Self::Mask {
        SimdFloat::is_nan(self)
    }

    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        Select::select(mask, yes, no)
    }
}

impl<S: Simd> Vector for f32x16<S> {
    type Tile = [f32; 16];
    type Proof = S;

    #[inline(always)]
    fn load(proof: S, tile: &[f32; 16]) -> Self {
        Self::from_slice(proof, tile)
    }

    #[inline(always)]
    fn store(self, tile: &mut [f32; 16]) {
        self.store_slice(tile);
    }
}

mod bf16;
