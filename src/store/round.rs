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
    let rounded = bits.wrapping_add(random as u32) >> 16;
    let quiet = bits >> 16 | 0x40;
    (if bits & MAGNITUDE > INFINITY { quiet } else { rounded }) as u16
}

/// Adds the upper thirteen of the random bits, as many as are dropped, so the expectation is exact; below 2^-14, where more are
/// dropped, it is so but for a 2^17th of the least number. From 65,504 on, where the next would be infinity, numbers are rounded to
/// the nearest: no luck makes a finite one infinite.
#[inline(always)]
pub(crate) fn encode_f16(from: &[f32], random: &[u16], to: &mut [u16]) {
    /// Halfway between the largest number and 2^16.
    const BEYOND: u32 = 0x477f_f000;
    for ((to, from), random) in to.iter_mut().zip(from).zip(random) {
        let (bits, random) = (from.to_bits(), u32::from(*random));
        let (sign, magnitude) = (bits >> 16 & 0x8000, bits & MAGNITUDE);
        let rounded = magnitude.wrapping_sub(BIAS).wrapping_add(random >> 3) >> 13;
        // In units of the least code, 2^-24. What is subnormal as an f32 is too little to matter, but would be slow.
        let units = f32::from_bits(magnitude.clamp(1 << 23, LEAST)) * f32::from_bits(151 << 23);
        let whole = units as i32;
        let reached = units - whole as f32;
        let needed = (65_535.5 - random as i32 as f32) * (1.0 / 65_536.0);
        let subnormal = whole as u32 + u32::from(reached >= needed);
        let code = if magnitude < LEAST { subnormal } else { rounded.min(0x7bff) };
        let code = if magnitude >= BEYOND { 0x7c00 } else { code };
        let quiet = magnitude >> 13 & 0x3ff | 0x7e00;
        *to = (sign | if magnitude > INFINITY { quiet } else { code }) as u16;
    }
}
