//! Eight bits, in blocks of up to 256 numbers with one scale.
//!
//! ```text
//! block       scale, an f32, little endian | codes, a byte each
//! signed      s eeee fff     not negative      eeeee fff
//! number      scale x 2^e x (1 + f / 8)
//! 0           zero
//! all ones    NaN, and one less infinity; of a signed code below its sign
//! ```
//!
//! The scale is a power of two, so a code is what an `f32` is but for twenty bits of its fraction and what is added to its
//! exponent: shifts and integer additions, no division, no table. Codes have no subnormal numbers. The block's largest number
//! is in the last octave but one, e = 14 or 30, so that there is a code for what it is rounded up to, or is that code. So a block
//! of what codes stand for becomes the same numbers again. A scale is never less
//! than 2^-126, where numbers begin that are not subnormal; it is 0 if no number is finite but zeros, which makes a block of
//! zeros one of zero bytes.
//!
//! Numbers that are not negative span 2^30 in a block, and one that is not zero stays so: what is less than the least code is
//! that. Where it divides as a second moment, the update may be smaller than it should be, but never blow up. Signed numbers
//! span 2^14, and what is less than their least code is that or zero, at random; but zero if it is less than an eighth of it, so
//! that chance makes nothing more than eight times as large.
//!
//! All is rounded at random, up as often as the number is near to what is above it: a moment that decays by less than half of a
//! place in each step must not stay where it is. In expectation the result is the number, but for a 2^17th of the gap between
//! two codes, as a number has sixteen random bits. A number that has a code is never moved.
//!
//! The scale is that of the largest finite number. Infinity and NaN have codes, so they change no other code of the block. One
//! huge number makes the least code, or of signed ones that or zero, of what is about 2^30, or 2^14, times smaller, and changes
//! nothing else. In the last octave of an `f32`, where what is above the last code would be infinite, numbers become that code.

/// Under an eighth of the least code, in units of the scale, signed numbers are zero.
const LOST: f32 = 1.125 / 8.0;
/// In the place of random bits, rounds to the nearest: up from halfway, less a 2^17th of the gap.
pub(crate) const NEAREST: u16 = 0x8000;

const MAGNITUDE: u32 = !(1 << 31);
const INFINITY: u32 = 0x7f80_0000;
/// The least number that is not subnormal, and so the least scale.
const LEAST: u32 = 1 << 23;
/// Where a code is in an `f32`.
const SHIFT: u32 = 20;

const fn infinite(signed: bool) -> u32 {
    if signed { 126 } else { 254 }
}

/// Where the largest number is.
const fn octave(signed: bool) -> u32 {
    if signed { 14 } else { 30 }
}

/// Whether a block may have it.
#[cfg(any(test, feature = "checkpoint"))]
pub(crate) fn is_scale(signed: bool, scale: f32) -> bool {
    let bits = scale.to_bits();
    bits == 0 || bits.is_multiple_of(LEAST) && (1..=254 - octave(signed)).contains(&(bits >> 23))
}

/// The numbers of a block.
#[inline(always)]
pub(crate) fn decode(signed: bool, block: &[u8], to: &mut [f32]) {
    decode_some(signed, block, 0, to);
}

/// Those from number `from` on.
#[inline(always)]
pub(crate) fn decode_some(signed: bool, block: &[u8], from: usize, to: &mut [f32]) {
    let (scale, codes) = block.split_first_chunk().expect("it has a scale");
    let scale = u32::from_le_bytes(*scale).max(LEAST);
    if signed {
        decode_codes::<true>(scale, &codes[from..], to);
    } else {
        decode_codes::<false>(scale, &codes[from..], to);
    }
}

#[inline(always)]
fn decode_codes<const SIGNED: bool>(scale: u32, codes: &[u8], to: &mut [f32]) {
    for (to, code) in to.iter_mut().zip(codes) {
        let code = u32::from(*code);
        let (sign, code) = if SIGNED { (code >> 7 << 31, code & 0x7f) } else { (0, code) };
        let finite = sign | (code << SHIFT).wrapping_add(scale);
        let beyond = sign | INFINITY | (code & 1) << 22;
        let number = if code >= infinite(SIGNED) { beyond } else { finite };
        *to = f32::from_bits(if code == 0 { 0 } else { number });
    }
}

/// The block of some numbers, with sixteen random bits for each. If it is not signed, signs are dropped. Zeros have none.
#[inline(always)]
pub(crate) fn encode(signed: bool, from: &[f32], random: &[u16], block: &mut [u8]) {
    let (to, codes) = block.split_first_chunk_mut().expect("it has a scale");
    let mut largest = 0;
    for x in from {
        let magnitude = x.to_bits() & MAGNITUDE;
        largest = largest.max(if magnitude < INFINITY { magnitude } else { 0 });
    }
    // A power of two is at the end of an octave: nothing is rounded up beyond it, and a block of codes becomes itself again.
    let exponent = largest.saturating_sub(1) >> 23;
    let scale = exponent.saturating_sub(octave(signed)).max(1) << 23;
    *to = (if largest < LEAST { 0 } else { scale }).to_le_bytes();
    // Where the code above the largest number is no number any more, there is none to round to.
    let top = 8 * (octave(signed) + 1) - u32::from(exponent == 254);
    if signed {
        encode_codes::<true>(scale, top, from, random, codes);
    } else {
        encode_codes::<false>(scale, top, from, random, codes);
    }
}

#[inline(always)]
fn encode_codes<const SIGNED: bool>(scale: u32, top: u32, from: &[f32], random: &[u16], to: &mut [u8]) {
    let least = scale + (1 << SHIFT);
    // Below the least code, numbers are compared with what they must reach, both in units of the scale. Numbers that are much
    // less reach nothing, and must not become subnormal.
    let inverse = f32::from_bits((254 << 23) - scale);
    let much_less = scale.saturating_sub(20 << 23).max(LEAST);
    for ((to, x), random) in to.iter_mut().zip(from).zip(random) {
        let (bits, random) = (x.to_bits(), u32::from(*random));
        let magnitude = bits & MAGNITUDE;
        // What has a code of its own has nothing below it that could be rounded.
        let exact = if magnitude < LEAST {
            0
        } else if magnitude < INFINITY {
            (magnitude.max(least) - scale).min(top << SHIFT)
        } else {
            (infinite(SIGNED) + u32::from(magnitude > INFINITY)) << SHIFT
        };
        let code = (exact + (random << 4 | 8)) >> SHIFT;
        *to = if SIGNED {
            let reached = f32::from_bits(magnitude.max(much_less)) * inverse;
            let needed = (65_535.5 - random as i32 as f32) * (1.125 / 65_536.0);
            let needed = if needed < LOST { LOST } else { needed };
            let code = if magnitude < least && reached < needed { 0 } else { code };
            // That of a NaN depends on the CPU.
            let has_sign = code != 0 && magnitude <= INFINITY;
            code | if has_sign { bits >> 31 << 7 } else { 0 }
        } else {
            code
        } as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::store::BLOCK;
    use crate::store::code::SCALE;
    use crate::store::random::Random;

    fn encoded(signed: bool, x: &[f32], random: &[u16]) -> Vec<u8> {
        let mut block = vec![0xaa; SCALE + x.len()];
        encode(signed, x, random, &mut block);
        block
    }

    fn decoded(signed: bool, block: &[u8]) -> Vec<f32> {
        let mut x = vec![0.1; block.len() - SCALE];
        decode(signed, block, &mut x);
        x
    }

    fn scale(block: &[u8]) -> f32 {
        f32::from_le_bytes(block[..SCALE].try_into().unwrap())
    }

    fn block(scale: f32, codes: &[u8]) -> Vec<u8> {
        [&scale.to_le_bytes()[..], codes].concat()
    }

    fn scales(signed: bool) -> impl Iterator<Item = f32> {
        (1..=254 - octave(signed)).map(|exponent| f32::from_bits(exponent << 23))
    }

    fn same(found: f32, expected: f32) -> bool {
        found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
    }

    fn check(signed: bool, x: &[f32], random: &[u16]) {
        let found = encoded(signed, x, random);
        let (scale, codes) = reference::block8(signed, x, random);
        assert_eq!(found, block(scale, &codes), "{signed} {x:?} {random:?}");
        assert!(is_scale(signed, scale), "{scale:e}");
        let expected = reference::from_block8(signed, scale, &codes);
        for (found, expected) in decoded(signed, &found).into_iter().zip(expected) {
            assert!(same(found, expected), "{found:e} {expected:e}");
        }
    }

    #[test]
    fn blocks_of_any_length_and_numbers_are_those_of_the_reference() {
        let rng = &mut fastrand::Rng::with_seed(1);
        let (least, largest) = (f32::MIN_POSITIVE, f32::MAX);
        let hostile =
            [0.0, -0.0, least, -least, least / 3.0, largest, -largest, f32::INFINITY, -f32::INFINITY];
        let hostile: Vec<_> = hostile.into_iter().chain([f32::NAN, -f32::NAN, least * 1.1, 1e-45]).collect();
        for len in 0..=BLOCK {
            for kind in 0..7 {
                let (middle, width) = (rng.u32(1..255), rng.u32(1..40));
                let mut number = || match kind {
                    0 => f32::from_bits(rng.u32(..)),
                    1 => hostile[rng.usize(..hostile.len())],
                    2 if rng.u8(..) > 0 => 0.0,
                    3 => [f32::INFINITY, f32::NEG_INFINITY, f32::NAN][rng.usize(..3)],
                    4 => hostile[rng.usize(..5)],
                    // Of about one size, where codes are.
                    _ => {
                        let exponent = (middle + rng.u32(..width)).min(254);
                        f32::from_bits(u32::from(rng.bool()) << 31 | exponent << 23 | rng.u32(..1 << 23))
                    }
                };
                let x: Vec<_> = (0..len).map(|_| number()).collect();
                let random: Vec<_> = (0..len).map(|_| rng.u16(..)).collect();
                check(false, &x, &random);
                check(true, &x, &random);
            }
        }
    }

    #[test]
    fn a_single_number_at_every_scale_and_place() {
        for exponent in 0..=255 {
            for place in [0, 1, 0x10_0000, 0x18_0000, 0x7f_ffff] {
                let x = f32::from_bits(exponent << 23 | place);
                for random in [0, 0x7fff, 0x8000, 0xffff] {
                    check(false, &[x], &[random]);
                    check(true, &[x, -x], &[random; 2]);
                    // Beside a large one.
                    check(false, &[x, 1e-10, 1e5], &[random; 3]);
                    check(true, &[x, -1e-10, 1e5], &[random; 3]);
                }
            }
        }
    }

    #[test]
    fn every_code_stays_whatever_the_random_bits() {
        let rng = &mut fastrand::Rng::with_seed(2);
        for signed in [false, true] {
            for scale in scales(signed) {
                let all: Vec<u8> = (0..=255).collect();
                let expected = reference::from_block8(signed, scale, &all);
                for (code, x) in all.iter().zip(decoded(signed, &block(scale, &all))) {
                    // At the largest scale there are codes of what no f32 is; none is ever made.
                    let none = expected[*code as usize].is_infinite();
                    assert!(same(x, expected[*code as usize]) || none && !x.is_finite(), "{scale:e} {code}");
                }

                // Those that are made of numbers up to the last octave but one. Neither zero nor NaN have signs.
                let top = 8 * (octave(signed) as u8 + 1);
                let made = |c: u8| {
                    let magnitude = if signed { c & 127 } else { c };
                    (magnitude < top || u32::from(magnitude) >= infinite(signed))
                        && !(signed && [128, 255].contains(&c))
                };
                let block = block(scale, &(0..=255).filter(|c| made(*c)).collect::<Vec<_>>());
                for bits in [0, 0xffff, rng.u16(..)] {
                    assert_eq!(encoded(signed, &decoded(signed, &block), &[bits; BLOCK]), block, "{scale:e}");
                }
            }
        }
    }

    /// Of all that its random bits can make of a number, the mean is the number.
    #[test]
    fn nothing_is_lost_in_expectation() {
        let rng = &mut fastrand::Rng::with_seed(3);
        for signed in [false, true] {
            let largest = 1.3;
            let scale = f64::from(scale(&encoded(signed, &[largest], &[0])));
            for _ in 0..60 {
                // As often below the least code as in each of some octaves.
                let from = if signed { f64::from(LOST) } else { 1.125 };
                let x = (scale * (from + rng.f64() * f64::from(1_u32 << rng.u32(..14)))) as f32;
                let mut sum = 0.0;
                for bits in (0..=u16::MAX).collect::<Vec<_>>().chunks(BLOCK - 1) {
                    let numbers = [&vec![x; bits.len()][..], &[largest]].concat();
                    let found = decoded(signed, &encoded(signed, &numbers, &[bits, &[0]].concat()));
                    sum += found[..bits.len()].iter().map(|x| f64::from(*x)).sum::<f64>();
                }
                let least = 1.125 * scale;
                let octave = f64::from(f32::from_bits(x.to_bits() >> 23 << 23));
                let gap = if f64::from(x) < least { least } else { octave / 8.0 };
                let off = (sum / 65_536.0 - f64::from(x)) / gap;
                assert!(off.abs() <= 1.0 / 131_072.0, "{signed} {x:e}: {off:e}");
            }
        }
    }

    /// Moments that all begin alike, of which each loses a thousandth in each of a thousand steps, beside one that stays. Their
    /// mean and its standard deviation.
    fn decayed(signed: bool, start: f32, random: impl Fn(u64, u64, &mut [u16])) -> (f64, f64) {
        let (blocks, mut ends) = (8, Vec::new());
        for number in 0..blocks {
            let mut x = [start; BLOCK];
            let mut bits = [0; BLOCK];
            for step in 1..=1000 {
                x[0] = 1.0;
                x[1..].iter_mut().for_each(|x| *x *= 0.999);
                random(step, number * BLOCK as u64, &mut bits);
                let block = encoded(signed, &x, &bits);
                decode(signed, &block, &mut x);
            }
            ends.extend(x[1..].iter().map(|x| f64::from(*x)));
        }
        let count = ends.len() as f64;
        let mean = ends.iter().sum::<f64>() / count;
        let variance = ends.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        (mean, (variance / count).sqrt())
    }

    #[test]
    fn what_decays_slowly_does_not_stick() {
        let decay: f64 = (0..1000).fold(1.0, |power, _| power * f64::from(0.999_f32));
        // Near the largest, far below, and where signed numbers are zero or the least code.
        for (signed, start) in [(false, 0.75), (false, 1e-6), (true, 0.75), (true, 5e-3), (true, 4e-5)] {
            let random = |step, start, to: &mut [u16]| Random::new(5, step, "exp_avg").sixteen(start, to);
            let (mean, deviation) = decayed(signed, start, random);
            let expected = decay * f64::from(start);
            assert!((mean - expected).abs() < 4.0 * deviation, "{signed} {start}: {mean:e} {deviation:e}");
            assert!(deviation < 0.1 * expected, "{signed} {start}: {mean:e} {deviation:e}");

            let (nearest, _) = decayed(signed, start, |_, _, to| to.fill(NEAREST));
            assert!(nearest > 0.9 * f64::from(start), "{signed} {start}: {nearest:e}");
        }
    }

    /// Beside the largest there is, too. What is too large to be rounded up stays finite.
    #[test]
    fn what_is_not_negative_is_never_lost_and_never_infinite() {
        for largest in [0.0, 1.0, f32::MAX, f32::INFINITY, f32::NAN] {
            for x in (1..255).map(|exponent| f32::from_bits(exponent << 23)) {
                for bits in [0, 0xffff] {
                    let found = decoded(false, &encoded(false, &[x, largest], &[bits; 2]));
                    assert!(
                        found[0] >= f32::MIN_POSITIVE && found[0].is_finite(),
                        "{x:e} {largest:e}: {found:?}"
                    );
                    assert_eq!(found[1].is_finite(), largest.is_finite());
                }
            }
        }
        assert!(
            decoded(true, &encoded(true, &[f32::MAX, f32::MIN], &[0xffff; 2])).iter().all(|x| x.is_finite())
        );
    }

    #[test]
    fn infinity_and_nan_change_no_neighbour_and_a_huge_number_only_the_small() {
        let rng = &mut fastrand::Rng::with_seed(4);
        for signed in [false, true] {
            let x: Vec<f32> = (0..BLOCK).map(|_| rng.f32() + 0.1).collect();
            let random: Vec<_> = (0..BLOCK).map(|_| rng.u16(..)).collect();
            let before = encoded(signed, &x, &random);
            for place in [0, 100, BLOCK - 1] {
                for other in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                    let mut x = x.clone();
                    x[place] = other;
                    let mut after = encoded(signed, &x, &random);
                    let found = decoded(signed, &after)[place];
                    assert!(same(found, if signed { other } else { other.abs() }), "{other} {found}");
                    // What was in its place was not the largest.
                    after[SCALE + place] = before[SCALE + place];
                    assert_eq!(after, before);
                }
                let mut x = x.clone();
                x[place] = 1024.0;
                let after = decoded(signed, &encoded(signed, &x, &random));
                for (i, (after, before)) in after.iter().zip(decoded(signed, &before)).enumerate() {
                    // Codes of 2^15 times less are still numbers with a place of an eighth.
                    assert!(i == place || (after - before).abs() <= before / 8.0, "{i} {before} {after}");
                }
            }
        }
    }

    #[test]
    fn zeros_are_zero_bytes() {
        for signed in [false, true] {
            let zeros = [0.0, -0.0, f32::MIN_POSITIVE / 2.0, -1e-45];
            assert_eq!(encoded(signed, &zeros, &[0xffff; 4]), [0; SCALE + 4]);
            assert!(decoded(signed, &[0; SCALE + 4]).iter().all(|x| x.to_bits() == 0));
            // Without a number that is finite and not zero, neither has a scale.
            let none = [0.0, f32::NAN, f32::INFINITY];
            assert_eq!(scale(&encoded(signed, &none, &[NEAREST; 3])).to_bits(), 0);
        }
    }

    #[test]
    fn any_part_of_a_block_can_be_read() {
        let rng = &mut fastrand::Rng::with_seed(6);
        for signed in [false, true] {
            let x: Vec<f32> = (0..BLOCK).map(|_| rng.f32()).collect();
            let block = encoded(signed, &x, &[NEAREST; BLOCK]);
            let whole = decoded(signed, &block);
            for from in 0..BLOCK {
                let mut part = vec![0.0; rng.usize(..=BLOCK - from)];
                decode_some(signed, &block, from, &mut part);
                assert_eq!(part, whole[from..from + part.len()]);
            }
        }
    }

    #[test]
    fn a_scale_is_zero_or_a_power_of_two_that_all_codes_can_have() {
        for signed in [false, true] {
            let largest = scale(&encoded(signed, &[f32::MAX], &[0]));
            assert!(
                is_scale(signed, 0.0) && is_scale(signed, f32::MIN_POSITIVE) && is_scale(signed, largest)
            );
            for scale in [2.0 * largest, f32::MIN_POSITIVE / 2.0, 1.5, -1.0, -0.0, f32::NAN, f32::INFINITY] {
                assert!(!is_scale(signed, scale), "{scale}");
            }
        }
    }
}
