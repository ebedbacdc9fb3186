//! Codes of sixteen bits, in the instructions that each level has.
//!
//! To round is to add a bit less than half of the last place that stays, and to set the last bit of what goes where that place
//! is odd: it decides where half was lost, and nowhere else.

use crate::lane::Wide;
use core::arch::x86_64::*;
use fearless_simd::{Avx2, Avx512, f32x8, f32x16, prelude::*, u8x32, u16x8, u16x16, u16x32};

impl Wide for f32x16<Avx512> {
    #[inline(always)]
    fn load_bf16(proof: Avx512, tile: &[u16; 16]) -> Self {
        decode_avx512(proof, u16x16::from_slice(proof, tile).into()).simd_into(proof)
    }

    #[inline(always)]
    fn store_bf16(self, tile: &mut [u16; 16]) {
        let proof = self.token();
        u16x16::simd_from(proof, encode_avx512(proof, self.into())).store_slice(tile);
    }
}

fearless_simd::kernel!(
    #[inline(always)]
    fn decode_avx512(proof: Avx512, codes: __m256i) -> __m512 {
        let places = u16x32::from_fn(proof, |i| i as u16 / 2);
        let upper = _mm512_maskz_permutexvar_epi16(0xaaaa_aaaa, places.into(), _mm512_castsi256_si512(codes));
        _mm512_castsi512_ps(upper)
    }
);

fearless_simd::kernel!(
    #[inline(always)]
    fn encode_avx512(proof: Avx512, x: __m512) -> __m256i {
        let bits = _mm512_castps_si512(x);
        let even = _mm512_srli_epi32::<16>(bits);
        let sticky = _mm512_ternarylogic_epi32::<0xf8>(bits, even, _mm512_set1_epi32(1));
        let rounded = _mm512_castsi512_ps(_mm512_add_epi32(sticky, _mm512_set1_epi32(0x7fff)));
        // What was NaN is so again, and quiet.
        let kept = _mm512_fixupimm_ps::<0>(rounded, x, _mm512_set1_epi32(0x22));
        let places = u16x32::from_fn(proof, |i| (2 * i + 1) as u16 % 32);
        _mm512_castsi512_si256(_mm512_permutexvar_epi16(places.into(), _mm512_castps_si512(kept)))
    }
);

impl Wide for f32x16<Avx2> {
    #[inline(always)]
    fn load_bf16(proof: Avx2, tile: &[u16; 16]) -> Self {
        let (low, high) = tile.split_at(8);
        let low: f32x8<Avx2> = decode_avx2(proof, u16x8::from_slice(proof, low).into()).simd_into(proof);
        let high: f32x8<Avx2> = decode_avx2(proof, u16x8::from_slice(proof, high).into()).simd_into(proof);
        low.combine(high)
    }

    #[inline(always)]
    fn store_bf16(self, tile: &mut [u16; 16]) {
        let proof = self.token();
        let (low, high) = self.split();
        u16x16::simd_from(proof, encode_avx2(proof, low.into(), high.into())).store_slice(tile);
    }
}

fearless_simd::kernel!(
    #[inline(always)]
    fn decode_avx2(proof: Avx2, codes: __m128i) -> __m256 {
        let places = u8x32::from_fn(proof, |i| if i % 4 < 2 { 0x80 } else { (i / 4 * 2 + i % 2) as u8 });
        // A load; an extension would be a shuffle, and then a shift.
        let twice = _mm256_broadcastsi128_si256(codes);
        _mm256_castsi256_ps(_mm256_shuffle_epi8(twice, places.into()))
    }
);

fearless_simd::kernel!(
    #[inline(always)]
    fn encode_avx2(proof: Avx2, low: __m256, high: __m256) -> __m256i {
        // Upper halves, and lower ones, of numbers that alternate between `low` and `high` until the end.
        let nan = _mm256_blend_epi16::<0xaa>(
            _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(low, low)),
            _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(high, high)),
        );
        let [low, high] = [_mm256_castps_si256(low), _mm256_castps_si256(high)];
        let upper = _mm256_blend_epi16::<0xaa>(_mm256_srli_epi32::<16>(low), high);
        let lower = _mm256_blend_epi16::<0xaa>(low, _mm256_slli_epi32::<16>(high));
        let even = _mm256_andnot_si256(upper, _mm256_set1_epi16(1));
        let up = _mm256_srli_epi16::<15>(_mm256_subs_epu16(lower, even));
        // All ones are a NaN, and saturate.
        let codes = _mm256_adds_epu16(_mm256_or_si256(upper, nan), up);
        let places = u8x32::from_fn(proof, |i| (i % 16 / 8 * 2 + i % 8 / 2 * 4 + i % 2) as u8);
        _mm256_permute4x64_epi64::<0xd8>(_mm256_shuffle_epi8(codes, places.into()))
    }
);
