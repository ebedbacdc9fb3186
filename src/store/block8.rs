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
//! is in the last octave but one, e = 14 or 30, so that there is a code for what it is rounded up to. A scale is never less
//! than 2^-126, where numbers begin that are not subnormal; it is 0 if no number is finite but zeros, which makes a block of
//! zeros one of zero bytes.
//!
//! Numbers that are not negative span 2^30 in a block, and one that is not zero stays so: what is less than the least code is
//! that. Where it divides as a second moment, the update may be smaller than it should be, but never blow up. Signed numbers span
//! 2^14, and what is less than their least code is that or zero, at random.
//!
//! All is rounded at random, up as often as the number is near to what is above it: a moment that decays by less than half of a
//! place in each step must not stay where it is. In expectation the result is the number, but for a 2^17th of the gap between
//! two codes, as a number has sixteen random bits. A number that has a code is never moved. With 0x8000 for its bits it is rounded
//! to the nearest.
//!
//! The scale is that of the largest finite number. Infinity and NaN have codes, so they change no other code of the block. One
//! huge number makes zero, or the least code, of what is 2^15, or 2^31, times smaller, and nothing else.

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
    let scale = (largest >> 23).saturating_sub(octave(signed)).max(1) << 23;
    *to = (if largest < LEAST { 0 } else { scale }).to_le_bytes();
    // Where the code above the largest number is no number any more, there is none to round to.
    let top = 8 * (octave(signed) + 1) - u32::from(largest >> 23 == 254);
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
    let much_less = scale.saturating_sub(20 << 23);
    for ((to, x), random) in to.iter_mut().zip(from).zip(random) {
        let (bits, random) = (x.to_bits(), u32::from(*random));
        let magnitude = bits & MAGNITUDE;
        let magnitude = if magnitude < LEAST { 0 } else { magnitude };
        let rounded = (magnitude.max(least) - scale + (random << 4 | 8)) >> SHIFT;
        let finite = rounded.min(top);
        let code = if SIGNED {
            let reached = f32::from_bits(magnitude.max(much_less)) * inverse;
            let needed = (65_535.5 - random as i32 as f32) * (1.125 / 65_536.0);
            let finite = if magnitude < least && reached < needed { 0 } else { finite };
            let sign = if finite == 0 { 0 } else { bits >> 31 << 7 };
            sign | if magnitude < INFINITY { finite } else { infinite(true) }
        } else {
            let finite = if magnitude == 0 { 0 } else { finite };
            if magnitude < INFINITY { finite } else { infinite(false) }
        };
        // That of a NaN has no sign: which one it has depends on the CPU.
        *to = (if magnitude > INFINITY { infinite(SIGNED) + 1 } else { code }) as u8;
    }
}
