//! Random bits for rounding, by counting: each number has its own, which depend on no number before it.
//!
//! Philox is Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC'11, doi 10.1145/2063384.2063405): multiplications
//! that mix a counter as a cipher mixes a text. Seven rounds are the fewest that they found to pass `BigCrush`. So the bits of an
//! element are a function of the seed, the step, the element's place and what is rounded, and neither threads nor cuts nor
//! resuming can change them.
//!
//! One counter yields four words, thus bits for eight elements. These are not neighbours: of 128 elements from a multiple of
//! 128, number `i` has counter `i % 16`, word `i / 32` and in it half `i / 16 % 2`, lower first. Sixteen counters side by side
//! then fill sixteen lanes, and no bits have to cross between them.

const ROUNDS: usize = 7;
const GROUP: usize = 128;

/// What random bits of one slot in one step are made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random {
    key: [u32; 2],
    step: u64,
}

impl Random {
    /// A stream is what is rounded, such as a state slot by its name. Streams of one seed are apart.
    pub(crate) fn new(seed: u64, step: u64, stream: &str) -> Self {
        Self { key: words(seed ^ hash(stream)), step }
    }

    /// Sixteen bits for each of some consecutive elements, of which the first is number `start` of all.
    #[inline(always)]
    pub(crate) fn sixteen(&self, start: u64, to: &mut [u16]) {
        let (mut group, mut within) = (start / GROUP as u64, (start % GROUP as u64) as usize);
        let mut rest = to;
        while !rest.is_empty() {
            let (part, after) = rest.split_at_mut(rest.len().min(GROUP - within));
            if let ([whole], _) = part.as_chunks_mut() {
                self.group(group, whole);
            } else {
                let mut bits = [0; GROUP];
                self.group(group, &mut bits);
                part.copy_from_slice(&bits[within..][..part.len()]);
            }
            (group, within, rest) = (group + 1, 0, after);
        }
    }

    #[inline(always)]
    fn group(&self, group: u64, to: &mut [u16; GROUP]) {
        let [low, high] = words(self.step);
        for lane in 0..16 {
            let [c0, c1] = words(group * 16 + lane as u64);
            let bits = philox::<ROUNDS>(self.key, [c0, c1, low, high]);
            for word in 0..4 {
                to[word * 32 + lane] = bits[word] as u16;
                to[word * 32 + 16 + lane] = (bits[word] >> 16) as u16;
            }
        }
    }
}

/// The lower one first.
#[inline(always)]
const fn words(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// FNV-1a.
fn hash(name: &str) -> u64 {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[inline(always)]
fn philox<const ROUNDS: usize>(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let ([mut k0, mut k1], [mut c0, mut c1, mut c2, mut c3]) = (key, counter);
    for _ in 0..ROUNDS {
        let [low0, high0] = words(u64::from(c0) * 0xd251_1f53);
        let [low2, high2] = words(u64::from(c2) * 0xcd9e_8d57);
        [c0, c1, c2, c3] = [high2 ^ c1 ^ k0, low2, high0 ^ c3 ^ k1, low0];
        (k0, k1) = (k0.wrapping_add(0x9e37_79b9), k1.wrapping_add(0xbb67_ae85));
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    const PI: [u32; 6] = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344, 0xa409_3822, 0x299f_31d0];

    /// `kat_vectors` of Random123, the authors' library.
    #[test]
    fn philox_is_the_published_one() {
        let known = [
            (
                [0; 6],
                [0x5f6f_b709, 0x0d89_3f64, 0x4f12_1f81, 0x4f73_0a48],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 6],
                [0x5207_ddc2, 0x4516_5e59, 0x4d8e_e751, 0x8c52_f662],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                PI,
                [0x4dfc_caba, 0x190a_87f0, 0xc473_62ba, 0xb6b5_242a],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for ([c0, c1, c2, c3, k0, k1], seven, ten) in known {
            assert_eq!(philox::<7>([k0, k1], [c0, c1, c2, c3]), seven);
            assert_eq!(philox::<10>([k0, k1], [c0, c1, c2, c3]), ten);
            assert_eq!(reference::philox([k0, k1], [c0, c1, c2, c3]), seven);
        }
    }

    /// As published with the function.
    #[test]
    fn names_are_hashed_by_fnv() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn each_element_has_its_bits_wherever_slices_are_cut() {
        for (seed, step, stream) in [(0, 1, "params"), (u64::MAX, u64::MAX - 1, "exp_avg"), (7, 1 << 32, "")]
        {
            let random = Random::new(seed, step, stream);
            for start in [0, 3, (1 << 35) - 200, u64::MAX - 1000] {
                let mut whole = [0; 600];
                random.sixteen(start, &mut whole);
                for (i, &bits) in (0..).zip(&whole) {
                    assert_eq!(bits, reference::random16(seed, step, start + i, stream), "{start} {i}");
                }
                for (from, len) in (0..200).flat_map(|from| [0, 1, 127, 128, 129, 400].map(|len| (from, len)))
                {
                    let mut part = [0; 400];
                    random.sixteen(start + from as u64, &mut part[..len]);
                    assert_eq!(part[..len], whole[from..from + len], "{start} {from} {len}");
                }
            }
        }
    }

    /// Over many elements, each of sixteen bits is set half of the time, alone and where that of the next element, step,
    /// seed or stream is: within five standard deviations.
    #[test]
    fn bits_are_even_and_apart() {
        let of = |seed, step, stream, start| {
            let mut bits = vec![0; 1 << 16];
            let parts = bits.chunks_mut(512).zip((start..).step_by(512));
            parts.for_each(|(part, start)| Random::new(seed, step, stream).sixteen(start, part));
            bits
        };
        let bits = of(1, 1, "exp_avg", 0);
        let others = [
            vec![0; 1 << 16],
            of(1, 1, "exp_avg", 1),
            of(1, 1, "exp_avg", 16),
            of(1, 1, "exp_avg", 128),
            of(1, 2, "exp_avg", 0),
            of(2, 1, "exp_avg", 0),
            of(1, 1, "exp_avg_sq", 0),
        ];
        for (k, other) in others.iter().enumerate() {
            for bit in 0..16 {
                let set = bits.iter().zip(other).filter(|(x, y)| (**x ^ **y) >> bit & 1 == 1).count();
                assert!(set.abs_diff(1 << 15) < 5 * 128, "bit {bit} beside {k}: {set}");
            }
        }
    }
}
