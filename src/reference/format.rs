//! Formats in plain arithmetic.

use super::flush;

/// Four random words of a counter: Philox4x32 with seven rounds, of
/// [Salmon et al. (2011)](https://doi.org/10.1145/2063384.2063405).
#[must_use]
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let mut c = counter.map(u64::from);
    for round in 0..7 {
        let k0 = (u64::from(key[0]) + round * 0x9e37_79b9) % (1 << 32);
        let k1 = (u64::from(key[1]) + round * 0xbb67_ae85) % (1 << 32);
        let (a, b) = (c[0] * 0xd251_1f53, c[2] * 0xcd9e_8d57);
        c = [(b / (1 << 32)) ^ c[1] ^ k0, b % (1 << 32), (a / (1 << 32)) ^ c[3] ^ k1, a % (1 << 32)];
    }
    c.map(|word| word as u32)
}

/// The random bits of the element with an index in a step, for what is rounded at random. A stream is the name of a state slot,
/// or `params`.
///
/// The key is `seed` xor the 64-bit FNV-1a of the stream's name, lower word first. Of 128 elements from a multiple of 128 on,
/// number `i` has counter `i % 16`, and of its words number `i / 32`, of which the lower half if `i / 16` is even. The words of a
/// counter are its number of all, lower first, and the step, lower first.
#[must_use]
pub fn random16(seed: u64, step: u64, index: u64, stream: &str) -> u16 {
    let mut key = 14_695_981_039_346_656_037_u64;
    for byte in stream.bytes() {
        key = (key ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    key ^= seed;
    let i = index % 128;
    let counter = index / 128 * 16 + i % 16;
    let halves = |x: u64| [(x % (1 << 32)) as u32, (x / (1 << 32)) as u32];
    let ([c0, c1], [c2, c3]) = (halves(counter), halves(step));
    let word = philox(halves(key), [c0, c1, c2, c3])[(i / 32) as usize];
    (if i % 32 < 16 { word % (1 << 16) } else { word / (1 << 16) }) as u16
}

/// The `bf16` that a number is kept as: the nearest, of two the even one. Or with random bits, `r` of 65,536, the one above
/// if the number is at least `1 - r / 65536` of the way to it.
#[must_use]
pub fn bf16(x: f32, random: Option<u16>) -> f32 {
    let (least, largest) = (f64::from(f32::MIN_POSITIVE), two_to(128) - two_to(120));
    round(x, 7, least, largest, |part, odd| match random {
        None => part > 0.5 || part >= 0.5 && odd,
        Some(r) => part >= 1.0 - f64::from(r) / 65_536.0,
    })
}

/// The `f16` that a number is kept as: the nearest, of two the even one. Or with random bits, `r` of 65,536, if `r` without its
/// lower three bits says so as in [`bf16`], or under 2^-14, if `r + 0.5` does. Beyond 65,504 it is the nearest in any case.
#[must_use]
pub fn f16(x: f32, random: Option<u16>) -> f32 {
    let (least, largest) = (two_to(-14), 65_504.0);
    let magnitude = f64::from(x.abs());
    round(x, 10, least, largest, |part, odd| match random {
        Some(r) if magnitude < least => part >= 1.0 - (f64::from(r) + 0.5) / 65_536.0,
        Some(r) if magnitude <= largest => part >= 1.0 - f64::from(r / 8) / 8_192.0,
        _ => part > 0.5 || part >= 0.5 && odd,
    })
}

/// The same for what is never negative: the least code for what would be zero and is not.
#[must_use]
pub fn positive_f16(x: f32, random: Option<u16>) -> f32 {
    let kept = f16(x, random);
    if kept == 0.0 && flush(x) != 0.0 { (two_to(-24) as f32).copysign(x) } else { kept }
}

/// To so many binary places behind the first, counted under `least` as they are in that. `up` says whether a part of the last
/// place becomes a whole one, given also if what is before it is odd.
fn round(x: f32, places: i32, least: f64, largest: f64, up: impl Fn(f64, bool) -> bool) -> f32 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let magnitude = f64::from(x.abs());
    let mut power = least;
    while magnitude >= 2.0 * power {
        power *= 2.0;
    }
    let gap = power * two_to(-places);
    let whole = (magnitude / gap).floor();
    let part = magnitude / gap - whole;
    let rounded = if up(part, whole as u64 % 2 == 1) { whole + 1.0 } else { whole } * gap;
    (if rounded > largest { f32::INFINITY } else { rounded as f32 }).copysign(x)
}

/// The scale and the codes of a block of up to 256 numbers that are kept in eight bits, with random bits `r` of 65,536 for each.
/// Code `c` is `scale * 2^(c / 8) * (1 + (c % 8) / 8)`, with `c / 8` rounded down; but 0 is zero, 254 infinity and 255 NaN. If
/// they are signed, this is so of the lower seven bits, with 126 and 127, and the upper is the sign.
///
/// The scale is the least power of two, from 2^-126 on, of which all finite magnitudes are at most 2^31 times it, or if signed
/// 2^15 times; but zero if they are zeros. A number becomes the code below it, or the one above if it is at least
/// `1 - (r + 0.5) / 65536` of the way there; the one below if the one above is no `f32`; the least, not zero, if they are not
/// signed; and zero if they are, and it is less than an eighth of the least. Subnormal numbers are zeros, and neither zeros nor NaN have signs.
#[must_use]
pub fn block8(signed: bool, x: &[f32], random: &[u16]) -> (f32, Vec<u8>) {
    let (octaves, infinity) = if signed { (15, 126) } else { (31, 254) };
    let mut scale = f64::from(f32::MIN_POSITIVE);
    let mut zeros = true;
    for x in x.iter().map(|x| flush(x.abs())).filter(|x| x.is_finite()) {
        while f64::from(x) > scale * two_to(octaves) {
            scale *= 2.0;
        }
        zeros &= x == 0.0;
    }
    let numbers: Vec<f64> =
        (0..infinity).map(|c| number8(scale, c)).take_while(|x| *x <= f64::from(f32::MAX)).collect();
    let code = |x: f32, r: u16| {
        let magnitude = f64::from(flush(x.abs()));
        let mut code = if magnitude.is_finite() {
            let below = numbers.iter().rposition(|n| *n <= magnitude).unwrap_or(0);
            let (low, high) = (numbers[below], numbers.get(below + 1).copied().unwrap_or(f64::INFINITY));
            let needed = (high - low) * (1.0 - (f64::from(r) + 0.5) / 65_536.0);
            let least = !signed && magnitude > 0.0 && below == 0;
            let lost = signed && magnitude < numbers[1] / 8.0;
            (if magnitude - low >= needed && !lost || least { below + 1 } else { below }) as u8
        } else if magnitude.is_nan() {
            infinity + 1
        } else {
            infinity
        };
        if signed && x < 0.0 && code > 0 {
            code += 128;
        }
        code
    };
    let codes = x.iter().zip(random).map(|(x, r)| code(*x, *r)).collect();
    (if zeros { 0.0 } else { scale as f32 }, codes)
}

/// The numbers of a block's scale and codes.
#[must_use]
pub fn from_block8(signed: bool, scale: f32, codes: &[u8]) -> Vec<f32> {
    let number = |c: &u8| {
        let (c, infinity) = if signed { (c % 128, 126) } else { (*c, 254) };
        match c {
            _ if c == infinity => f32::INFINITY,
            _ if c > infinity => f32::NAN,
            _ => number8(f64::from(scale), c) as f32,
        }
    };
    codes.iter().map(|c| if signed && c / 128 == 1 && *c != 128 { -number(c) } else { number(c) }).collect()
}

fn number8(scale: f64, c: u8) -> f64 {
    if c == 0 { 0.0 } else { scale * two_to(i32::from(c / 8)) * (1.0 + f64::from(c % 8) / 8.0) }
}

fn two_to(exponent: i32) -> f64 {
    let one = if exponent < 0 { 0.5 } else { 2.0 };
    (0..exponent.abs()).fold(1.0, |power, _| power * one)
}
