//! The number a formula computes with.

#[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
mod dispatched;
mod wide;

use core::fmt::Debug;
use core::ops::{Add, Div, Mul, Sub};

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// One `f32`, or sixteen of them side by side (one cache line).
///
/// A [`Formula`](crate::Formula) is written over this trait and so runs at every width. Every operation is one IEEE 754
/// operation, correctly rounded, or a choice made of comparisons: the result of an element depends neither
/// on the width nor on the CPU. There is no fused multiply-add and no reciprocal estimate, on purpose.
pub trait Lane:
    Sealed
    + Copy
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f32, Output = Self>
    + Sub<f32, Output = Self>
    + Mul<f32, Output = Self>
    + Div<f32, Output = Self>
{
    /// One truth value for each number.
    type Mask: Copy + Debug;

    /// `value` in every place, in a lane of the kind of `self`.
    #[must_use]
    fn splat(self, value: f32) -> Self;

    /// The square root, correctly rounded.
    #[must_use]
    fn sqrt(self) -> Self;

    /// The magnitude.
    #[must_use]
    fn abs(self) -> Self;

    /// Where `self < than`. Never true of NaN.
    fn less(self, than: Self) -> Self::Mask;

    /// Where `self` is NaN.
    fn is_nan(self) -> Self::Mask;

    /// Where the magnitude is not under `bound`, which is not negative. Always true of NaN.
    fn at_least(self, bound: f32) -> Self::Mask;

    /// `+0` for a subnormal number or a zero, the number itself elsewhere.
    ///
    /// Arithmetic on subnormal numbers is up to a hundred times slower on many CPUs.
    #[must_use]
    fn flush(self) -> Self;

    /// `yes` where the mask is true, `no` elsewhere.
    #[must_use]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// The larger of two numbers, NaN if either is, as `torch.maximum`. Of two equal numbers, `other`.
    #[inline(always)]
    #[must_use]
    fn max(self, other: Self) -> Self {
        Self::select(self.is_nan(), self, Self::select(other.less(self), self, other))
    }

    /// The smaller of two numbers, NaN if either is, as `torch.minimum`. Of two equal numbers, `other`.
    #[inline(always)]
    #[must_use]
    fn min(self, other: Self) -> Self {
        Self::select(self.is_nan(), self, Self::select(self.less(other), self, other))
    }

    /// `self`, but `least` where it is less. NaN stays.
    #[inline(always)]
    #[must_use]
    fn no_less_than(self, least: f32) -> Self {
        let least = self.splat(least);
        Self::select(self.less(least), least, self)
    }

    /// The nearest number between `low` and `high`, where `low` is not above `high`. NaN stays.
    #[inline(always)]
    #[must_use]
    fn clamp(self, low: f32, high: f32) -> Self {
        let (low, high) = (self.splat(low), self.splat(high));
        Self::select(self.less(low), low, Self::select(high.less(self), high, self))
    }

    /// -1, 0 or 1 with the sign of the number; 0 for both zeros, NaN for NaN.
    #[inline(always)]
    #[must_use]
    fn sign(self) -> Self {
        let zero = self.splat(0.0);
        let upper = Self::select(zero.less(self), self.splat(1.0), zero);
        let sign = Self::select(self.less(zero), self.splat(-1.0), upper);
        Self::select(self.is_nan(), self, sign)
    }

    /// `self * by` where the magnitude of `self` is at least `floor`, and `+0` elsewhere, where nothing is multiplied. `by` is
    /// finite and not negative.
    ///
    /// It is one operation because it is one instruction where a CPU can multiply under a mask. It is made to be added or divided:
    /// where it is subtracted, a compiler may subtract under the mask instead, and multiply all. So it is for averages and
    /// quotients alone; what else formulas multiply by is looked after elsewhere.
    #[doc(hidden)]
    #[inline(always)]
    #[must_use]
    fn times(self, by: f32, floor: f32) -> Self {
        self.zero_below(floor) * by
    }

    /// `+0` where the magnitude is under `floor`, the number itself elsewhere. NaN stays.
    #[inline(always)]
    #[must_use]
    fn zero_below(self, floor: f32) -> Self {
        Self::select(self.at_least(floor), self, self.splat(0.0))
    }
}

/// A [`Lane`] that can be fetched from memory and put back.
pub(crate) trait Vector: Lane {
    /// As many numbers at rest as the lane holds.
    type Tile: Default;
    /// What must be shown to make such a lane: nothing, or a proof that the CPU has it.
    type Proof: Copy;

    fn load(proof: Self::Proof, tile: &Self::Tile) -> Self;
    fn store(self, tile: &mut Self::Tile);
}

/// Sixteen numbers that come to rest in another format.
pub(crate) trait Wide: Vector<Tile = [f32; 16]> {
    /// From the upper halves.
    fn load_bf16(proof: Self::Proof, tile: &[u16; 16]) -> Self;
    /// The upper halves, rounded.
    fn store_bf16(self, tile: &mut [u16; 16]);
}

impl Sealed for f32 {}

impl Lane for f32 {
    type Mask = bool;

    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self::abs(self)
    }

    #[inline(always)]
    fn less(self, than: Self) -> bool {
        self < than
    }

    #[inline(always)]
    fn at_least(self, bound: f32) -> bool {
        let under = self.abs() < bound;
        !under
    }

    #[inline(always)]
    fn flush(self) -> Self {
        self.zero_below(Self::MIN_POSITIVE)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        Self::is_nan(self)
    }

    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
}

impl Vector for f32 {
    type Tile = Self;
    type Proof = ();

    #[inline(always)]
    fn load((): (), tile: &Self) -> Self {
        *tile
    }

    #[inline(always)]
    fn store(self, tile: &mut Self) {
        *tile = self;
    }
}

#[cfg(test)]
mod tests {
    use super::Wide;
    use half::bf16;

    fn codes_are_those_of_half<V: Wide>(proof: V::Proof) {
        for first in (0..=u16::MAX).step_by(16) {
            let codes: [u16; 16] = core::array::from_fn(|k| first + k as u16);
            let mut numbers = [0.0; 16];
            V::load_bf16(proof, &codes).store(&mut numbers);
            assert_eq!(numbers.map(f32::to_bits), codes.map(|code| u32::from(code) << 16));
            for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let numbers = codes.map(|code| f32::from_bits(u32::from(code) << 16 | lower));
                let mut found = [0; 16];
                V::load(proof, &numbers).store_bf16(&mut found);
                for k in 0..16 {
                    let (found, expected) = (bf16::from_bits(found[k]), bf16::from_f32(numbers[k]));
                    let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                    assert!(same, "{:x}: {found:?}", numbers[k].to_bits());
                }
            }
        }
    }

    #[test]
    fn every_lane_rounds_as_half() {
        codes_are_those_of_half::<wide::f32x16>(());
        #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
        {
            let cpu = fearless_simd::Level::new();
            if let Some(proof) = cpu.as_avx2() {
                codes_are_those_of_half::<fearless_simd::f32x16<_>>(proof);
            }
            if let Some(proof) = cpu.as_avx512() {
                codes_are_those_of_half::<fearless_simd::f32x16<_>>(proof);
            }
        }
    }
}
