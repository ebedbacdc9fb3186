//! Sixteen bits, rounded at random: up as often as a number is near to what is above it.
//!
//! Then an update that is far less than the last place of a parameter is not lost: it shows in one step of many, and in
//! expectation the result is the number. A number that has a code is never moved. NaN stays one, and infinity.

use super::sixteen::{BIAS, INFINITY, LEAST, MAGNITUDE};

/// Adds sixteen random bits below the last place that stays, so the expectation is exact. Beyond the largest code, the next is
/// infinity.
#[inline(always)]
pub(crate) fn encode_bf16(from: &[f32], random: &[u16], to: &mut [u16]) {
    for ((to, from), random) in to.iter_mut().zip(from).zip(random) {
        *to = to_bf16(*from, *random);
    }
}

#[inline(always)]
pub(crate) const fn to_bf16(x: f32, random: u16) -> u16 {
    let bits = x.to_bits();
    let bits = if bits & MAGNITUDE > INFINITY { f32::NAN.to_bits() } else { bits };
    ((bits + random as u32) >> 16) as u16
}

/// Adds the upper thirteen of the random bits, as many as are dropped, so the expectation is exact. Below 2^-14, where more are
/// dropped, it is so but for a 2^17th of the least code. From 65,504 on, where the next would be infinity, numbers are rounded
/// to the nearest: no luck makes a finite one infinite.
#[inline(always)]
pub(crate) fn encode_f16<const POSITIVE: bool>(from: &[f32], random: &[u16], to: &mut [u16]) {
    /// Halfway between the largest number and 2^16.
    const BEYOND: u32 = 0x477f_f000;
    /// From here on, the last place is 1.
    const ONES: f32 = 8_388_608.0;
    for ((to, from), random) in to.iter_mut().zip(from).zip(random) {
        let (bits, random) = (from.to_bits(), u32::from(*random));
        let (sign, magnitude) = (bits >> 16 & 0x8000, bits & MAGNITUDE);
        let rounded = magnitude.wrapping_sub(BIAS).wrapping_add(random >> 3) >> 13;
        // In units of the least code, 2^-24. What is subnormal as an f32 is too little to matter, but would be slow.
        let units = f32::from_bits(magnitude.clamp(1 << 23, LEAST)) * f32::from_bits(151 << 23);
        let sum = units + ONES;
        let (nearest, part) = (sum.to_bits() - ONES.to_bits(), units - (sum - ONES));
        let needed = (65_535.5 - random as i32 as f32) * (1.0 / 65_536.0);
        let subnormal = nearest + u32::from(part >= needed) - u32::from(part < needed - 1.0);
        let lost = POSITIVE && subnormal == 0 && magnitude >= 1 << 23;
        let subnormal = if lost { 1 } else { subnormal };
        let code = if magnitude < LEAST { subnormal } else { rounded.min(0x7bff) };
        let code = if magnitude >= BEYOND { 0x7c00 } else { code };
        let quiet = magnitude >> 13 & 0x3ff | 0x7e00;
        *to = (sign | if magnitude > INFINITY { quiet } else { code }) as u16;
    }
}

#[cfg(test)]
mod tests {
    use crate::reference;
    use crate::store::random::Random;
    use half::{bf16, f16};

    fn encode_bf16(from: &[f32], random: &[u16], to: &mut [bf16]) {
        super::encode_bf16(from, random, bytemuck::cast_slice_mut(to));
    }

    fn encode_f16(from: &[f32], random: &[u16], to: &mut [f16]) {
        super::encode_f16::<false>(from, random, bytemuck::cast_slice_mut(to));
    }

    fn rounded(x: f32, random: u16) -> [f32; 2] {
        let (mut b, mut h) = ([bf16::ZERO], [f16::ZERO]);
        encode_bf16(&[x], &[random], &mut b);
        encode_f16(&[x], &[random], &mut h);
        [b[0].to_f32(), h[0].to_f32()]
    }

    fn same(found: f32, expected: f32) -> bool {
        found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
    }

    #[test]
    fn codes_are_those_of_the_reference() {
        let rng = &mut fastrand::Rng::with_seed(1);
        for i in 0..200_000 {
            let random = [0, 0xffff, rng.u16(..), rng.u16(..)][i % 4];
            // Any bits, or in the range of f16 and a little below and above.
            let of_f16 =
                rng.u32(98..=144) << 23 | rng.u32(..1 << 23) >> rng.u32(..24) << rng.u32(..10) & 0x7f_ffff;
            let x =
                f32::from_bits(if rng.bool() { rng.u32(..) } else { of_f16 | u32::from(rng.bool()) << 31 });
            let [b, h] = rounded(x, random);
            assert!(same(b, reference::bf16(x, Some(random))), "{x:e} {random:x}: {b:e}");
            assert!(same(h, reference::f16(x, Some(random))), "{x:e} {random:x}: {h:e}");
            assert!(same(bf16::from_f32(x).to_f32(), reference::bf16(x, None)), "{x:e}");
            assert!(same(f16::from_f32(x).to_f32(), reference::f16(x, None)), "{x:e}");
        }
    }

    #[test]
    fn every_code_stays_whatever_the_random_bits() {
        for code in 0..=u16::MAX {
            let (b, h) = (bf16::from_bits(code).to_f32(), f16::from_bits(code).to_f32());
            for random in [0, 1, 0x8000, 0xffff] {
                assert!(same(rounded(b, random)[0], b), "{code:x}");
                assert!(same(rounded(h, random)[1], h), "{code:x}");
            }
        }
    }

    /// How many of all random bits round up.
    fn ups(x: f32, format: usize) -> u32 {
        let below = rounded(x, 0)[format];
        (0..=u16::MAX).filter(|r| rounded(x, *r)[format].to_bits() != below.to_bits()).count() as u32
    }

    #[test]
    fn nothing_is_lost_in_expectation() {
        for (k, part) in (0..1 << 16).step_by(6151).chain([1, 0xffff]).enumerate() {
            let sign = (k as u32 & 1) << 31;
            for exponent in [0, 1, 100, 254] {
                let x = f32::from_bits(sign | exponent << 23 | part);
                assert_eq!(ups(x, 0), part, "{x:e}");
            }
            let x = f32::from_bits(sign | 120 << 23 | part >> 3);
            assert_eq!(ups(x, 1), part >> 3 << 3, "{x:e}");
            // A subnormal code and a part of the next.
            for code in [0, 1, 600, 1023] {
                let x = (code as f32 + part as f32 / 65_536.0) * f32::from_bits(103 << 23);
                let exact = (f64::from(x) * f64::from(1 << 24)).fract();
                assert!(
                    (f64::from(ups(x, 1)) / 65_536.0 - exact).abs() <= 1.0 / 131_072.0,
                    "{code} {part}: {x:e}"
                );
            }
        }
    }

    #[test]
    fn what_is_too_large_for_f16_is_as_to_the_nearest() {
        for random in [0, 0xffff] {
            assert!(same(rounded(65_519.99, random)[1], 65_504.0));
            assert!(same(rounded(-65_520.0, random)[1], f32::NEG_INFINITY));
        }
        // For bf16 the next is infinity.
        assert!(same(rounded(f32::MAX, 0)[0], bf16::MAX.to_f32()));
        assert!(same(rounded(f32::MAX, 1)[0], f32::INFINITY));
    }

    /// Ones, to which in each of a thousand steps is added what is far too little for one: those that are rounded at random get
    /// there, within four standard deviations, those to the nearest stay.
    #[test]
    fn small_updates_add_up() {
        const UPDATE: f32 = 1.0 / 16_384.0;
        let mut random = [0; 512];
        let (mut b, mut h, mut stuck) = ([bf16::ONE; 512], [f16::ONE; 512], [bf16::ONE; 512]);
        for step in 1..=1000 {
            Random::new(3, step, "params").sixteen(7, &mut random);
            encode_bf16(&b.map(|x| x.to_f32() + UPDATE), &random, &mut b);
            encode_f16(&h.map(|x| x.to_f32() + UPDATE), &random, &mut h);
            stuck = stuck.map(|x| bf16::from_f32(x.to_f32() + UPDATE));
        }
        let check = |ends: [f32; 512]| {
            let mean = ends.iter().sum::<f32>() / 512.0;
            let variance = ends.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 512.0;
            let off = mean - (1.0 + 1000.0 * UPDATE);
            assert!(off.abs() < 4.0 * (variance / 512.0).sqrt(), "{mean} {variance}");
        };
        check(b.map(bf16::to_f32));
        check(h.map(f16::to_f32));
        assert_eq!(stuck, [bf16::ONE; 512]);
    }
}
