//! Sixteen numbers through `wide`, in the vectors the build enables: SSE2, NEON, WASM SIMD or better.

use super::{Lane, Vector};
use wide::f32x16;
use wide::{i16x8, i32x8};

impl super::Sealed for f32x16 {}

impl Lane for f32x16 {
    type Mask = Self;

    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        Self::splat(value)
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
    fn less(self, than: Self) -> Self {
        self.simd_lt(than)
    }

    #[inline(always)]
    fn at_least(self, bound: f32) -> Self {
        !self.abs().simd_lt(Self::splat(bound))
    }

    #[inline(always)]
    fn flush(self) -> Self {
        self.zero_below(f32::MIN_POSITIVE)
    }

    #[inline(always)]
    fn is_nan(self) -> Self {
        Self::is_nan(self)
    }

    #[inline(always)]
    fn select(mask: Self, yes: Self, no: Self) -> Self {
        mask.bitselect(yes, no)
    }
}

impl Vector for f32x16 {
    type Tile = [f32; 16];
    type Proof = ();

    #[inline(always)]
    fn load((): (), tile: &[f32; 16]) -> Self {
        Self::new(*tile)
    }

    #[inline(always)]
    fn store(self, tile: &mut [f32; 16]) {
        *tile = self.to_array();
    }
}

impl super::Wide for f32x16 {
    #[inline(always)]
    fn load_bf16((): (), tile: &[u16; 16]) -> Self {
        let mut numbers = [0.0; 16];
        for k in 0..16 {
            numbers[k] = f32::from_bits(u32::from(tile[k]) << 16);
        }
        Self::new(numbers)
    }

    #[inline(always)]
    fn store_bf16(self, tile: &mut [u16; 16]) {
        let bits: [i32x8; 2] = bytemuck::cast(self);
        let nan: [i32x8; 2] = bytemuck::cast(self.is_nan());
        for k in 0..2 {
            // The last bit that stays, below all, where it decides if half is lost, and nowhere else.
            let sticky = bits[k] | bits[k] >> 16 & i32x8::splat(1);
            let rounded = (sticky + i32x8::splat(0x7fff)) >> 16;
            // All ones are a NaN. As signed numbers all fit, and the instruction is everywhere.
            let codes = i16x8::from_i32x8_saturate(rounded | nan[k]);
            tile[8 * k..][..8].copy_from_slice(&bytemuck::cast::<i16x8, [u16; 8]>(codes));
        }
    }
}
