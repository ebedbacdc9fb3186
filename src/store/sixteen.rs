//! Sixteen bits, by integer arithmetic on those of an `f32`.
//!
//! Loops over slices, which compilers turn into vectors of any width; a table of codes would become a load for each number. What
//! they must be is what `half` makes, code by code, and a NaN stays one.

#[inline(always)]
pub(super) fn decode_bf16(from: &[u16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f32::from_bits(u32::from(*from) << 16);
    }
}

#[inline(always)]
pub(super) fn encode_bf16(from: &[f32], to: &mut [u16]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = to_bf16(*from);
    }
}

/// Adds half of the last place that stays, or a bit less where that is even.
#[inline(always)]
pub(crate) const fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    (if bits & MAGNITUDE > INFINITY { quiet } else { rounded }) as u16
}

/// Both halves of numbers. The upper ones are rounded to the nearest, away from zero where two are, so that of a lower half from
/// 0x8000 on the upper one is the next.
#[inline(always)]
pub(super) fn split(from: &[f32], upper: &mut [u16], lower: &mut [u16]) {
    for ((from, upper), lower) in from.iter().zip(upper).zip(lower) {
        let bits = from.to_bits();
        // The next of a NaN would be a number.
        let bits = if bits & MAGNITUDE > INFINITY { bits & !MAGNITUDE | QUIET } else { bits };
        *upper = (bits.wrapping_add(0x8000) >> 16) as u16;
        *lower = bits as u16;
    }
}

#[inline(always)]
pub(super) fn join(upper: &[u16], lower: &[u16], to: &mut [f32]) {
    for ((to, upper), lower) in to.iter_mut().zip(upper).zip(lower) {
        let (upper, lower) = (u32::from(*upper), u32::from(*lower));
        *to = f32::from_bits((upper.wrapping_sub(lower >> 15) << 16) | lower);
    }
}

pub(super) fn flush_bf16(numbers: &mut [u16]) {
    for x in numbers {
        if *x & 0x7f80 == 0 {
            *x = 0;
        }
    }
}

pub(super) const MAGNITUDE: u32 = !(1 << 31);
pub(super) const INFINITY: u32 = 0x7f80_0000;
const QUIET: u32 = 0x7fc0_0000;
/// Between the exponents of the two formats, where they are in an `f32`.
pub(super) const BIAS: u32 = 112 << 23;
/// The least normal `f16`, 2^-14, and what is too large for any, 2^16.
pub(super) const LEAST: u32 = 113 << 23;
const BEYOND: u32 = 143 << 23;

#[inline(always)]
pub(super) fn decode_f16(from: &[u16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        let bits = u32::from(*from);
        let (sign, code) = ((bits & 0x8000) << 16, bits & 0x7fff);
        let normal = (code << 13) + BIAS;
        let finite_or_not = if code >= 0x7c00 { normal + BIAS } else { normal };
        // A subnormal code is a whole number of 2^-24, which is exact. As an i32, for which vectors have a conversion.
        let subnormal = (code as i32 as f32 * f32::from_bits(103 << 23)).to_bits();
        *to = f32::from_bits(sign | if code < 0x400 { subnormal } else { finite_or_not });
    }
}

#[inline(always)]
pub(super) fn encode_f16<const POSITIVE: bool>(from: &[f32], to: &mut [u16]) {
    for (to, from) in to.iter_mut().zip(from) {
        let bits = from.to_bits();
        let (sign, magnitude) = (bits >> 16 & 0x8000, bits & MAGNITUDE);
        let rounded = magnitude.wrapping_sub(BIAS).wrapping_add(0xfff + (magnitude >> 13 & 1)) >> 13;
        // In 0.5 + x the last place is 2^-24, that of a subnormal code: the sum is rounded as the code must be.
        let subnormal =
            (f32::from_bits(magnitude.min(LEAST)) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
        // Where it is never negative, it may divide.
        let lost = POSITIVE && subnormal == 0 && magnitude >= 1 << 23;
        let subnormal = if lost { 1 } else { subnormal };
        let code = if magnitude < LEAST { subnormal } else { rounded };
        let code = if magnitude >= BEYOND { 0x7c00 } else { code };
        let quiet = magnitude >> 13 & 0x3ff | 0x7e00;
        *to = (sign | if magnitude > INFINITY { quiet } else { code }) as u16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    fn decoded(code: u16, decode: fn(&[u16], &mut [f32])) -> f32 {
        let mut to = [0.0];
        decode(&[code], &mut to);
        to[0]
    }

    /// The same bits, but for those of a NaN.
    fn same(found: f32, expected: f32) -> bool {
        found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
    }

    #[test]
    fn every_code_is_what_it_says() {
        for code in 0..=u16::MAX {
            let (b, h) = (bf16::from_bits(code), f16::from_bits(code));
            assert!(same(decoded(code, decode_bf16), b.to_f32()), "{code:x}");
            assert!(same(decoded(code, decode_f16), h.to_f32()), "{code:x}");
        }
    }

    fn check(x: f32) {
        let (mut b, mut h) = ([0], [0]);
        encode_bf16(&[x], &mut b);
        encode_f16::<false>(&[x], &mut h);
        assert!(
            same(bf16::from_bits(b[0]).to_f32(), bf16::from_f32(x).to_f32()),
            "{x:e} {:x}: {:?}",
            x.to_bits(),
            b
        );
        assert!(
            same(f16::from_bits(h[0]).to_f32(), f16::from_f32(x).to_f32()),
            "{x:e} {:x}: {:?}",
            x.to_bits(),
            h
        );
    }

    /// Of each code, what lies halfway to the next, and beside; all else is between two of these.
    #[test]
    fn every_place_where_rounding_changes() {
        for code in 0..=u16::MAX {
            for x in [bf16::from_bits(code).to_f32(), f16::from_bits(code).to_f32()] {
                let half = |places: u32| (-2..=2).map(move |i: i32| i.wrapping_add_unsigned(places));
                for by in half(0).chain(half(0x8000)).chain(half(0x1000)) {
                    check(f32::from_bits(x.to_bits().wrapping_add_signed(by)));
                }
            }
            // Halfway between subnormal codes of f16, which are multiples of 2^-24.
            check((f32::from(code) + 0.5) * f32::from_bits(103 << 23));
        }
    }

    /// A minute with optimization: `RUSTFLAGS='--cfg exhaustive' cargo test --release --all-features --lib store`
    #[test]
    fn every_f32() {
        let step = if cfg!(exhaustive) { 1 } else { 10_007 };
        (0..=u32::MAX).step_by(step).for_each(|bits| check(f32::from_bits(bits)));
    }
}
