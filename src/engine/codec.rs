//! Formats at a level. Out of line, so that they are compiled once and not for each formula.

use super::{Level, STREAMS};
use crate::store::{BLOCK, Code, Random, SCALE, Shelf, Source, Stream, block8};
use core::ops::Range;

/// How each of what an optimizer keeps is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes<'a> {
    pub(super) all: [Code; STREAMS],
    /// Whether all are as they are computed with.
    pub(super) plain: bool,
    /// Whether any are kept in blocks, which only multiples of [`BLOCK`] and ends of groups may cut.
    pub(super) in_blocks: bool,
    /// Where runs of a group end, and blocks with them.
    ends: &'a [usize],
}

impl<'a> Codes<'a> {
    /// All as they are computed with.
    pub(crate) const PLAIN: Self = Self::new(&[]);

    /// The same, until they are [`set`](Self::set).
    pub(crate) const fn new(ends: &'a [usize]) -> Self {
        Self { all: [Code::F32; STREAMS], plain: true, in_blocks: false, ends }
    }

    #[inline]
    pub(crate) fn set(&mut self, which: usize, code: Code) {
        self.all[which] = code;
        self.plain &= code == Code::F32;
        self.in_blocks |= code.in_blocks();
    }

    /// The bytes of `len` elements of some stream, of which the first is the `start`th of all, whatever groups they are of.
    pub(super) fn bytes(&self, code: Code, start: usize, len: usize) -> usize {
        let bytes = code.bytes(start, len);
        if !code.in_blocks() {
            return bytes;
        }
        // Each seam within a block makes two of it.
        let first = self.ends.partition_point(|end| *end <= start);
        let seams = self.ends[first..].iter().take_while(|end| **end < start + len);
        bytes + SCALE * seams.filter(|end| !end.is_multiple_of(BLOCK)).count()
    }
}

/// What rounding asks for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rounds<'a> {
    /// The bits of each stream, and of the parameters; there if any of them needs them.
    pub(crate) random: Option<&'a [Random; STREAMS + 1]>,
    /// Whether what has sixteen bits is rounded by them.
    pub(crate) stochastic: bool,
}

/// Numbers whose lower halves may be elsewhere, as they are computed with.
#[inline(never)]
pub(crate) fn decode(level: Level, from: Source<'_>, lower: &[u8], to: &mut [f32]) {
    level.run(
        #[inline(always)]
        || from.decode_with(lower, to),
    );
}

#[inline(never)]
pub(super) fn read(level: Level, from: Shelf<'_>, range: Range<usize>, to: &mut [f32]) {
    level.run(
        #[inline(always)]
        || from.read(range, to),
    );
}

#[inline(never)]
pub(super) fn decode_block(level: Level, code: Code, block: &[u8], to: &mut [f32]) {
    level.run(
        #[inline(always)]
        || block8::decode(code.is_signed(), block, to),
    );
}

/// To the nearest.
#[inline(never)]
pub(crate) fn encode(level: Level, from: &[f32], lower: &mut [u8], to: &mut Stream<'_>) {
    level.run(
        #[inline(always)]
        || if lower.is_empty() { to.encode(from) } else { to.split_with(lower, from) },
    );
}

impl Rounds<'_> {
    /// Numbers of sixteen bits, of which the first is the `start`th of all.
    pub(super) fn encode(
        self,
        level: Level,
        (stream, start): (usize, usize),
        from: &[f32],
        to: &mut Stream<'_>,
        scratch: &mut [u16],
    ) {
        match self.random {
            Some(random) if self.stochastic => {
                fill(level, &random[stream], start, scratch);
                encode_stochastically(level, from, scratch, to);
            }
            _ => encode(level, from, &mut [], to),
        }
    }

    /// A block.
    pub(super) fn encode_block(
        self,
        level: Level,
        (stream, start): (usize, usize),
        from: &[f32],
        (code, to): (Code, &mut [u8]),
        scratch: &mut [u16],
    ) {
        if let Some(random) = self.random {
            fill(level, &random[stream], start, scratch);
        }
        encode_block(level, code, from, scratch, to);
    }
}

#[inline(never)]
fn fill(level: Level, random: &Random, start: usize, to: &mut [u16]) {
    level.run(
        #[inline(always)]
        || random.sixteen(start as u64, to),
    );
}

#[inline(never)]
fn encode_stochastically(level: Level, from: &[f32], random: &[u16], to: &mut Stream<'_>) {
    level.run(
        #[inline(always)]
        || to.encode_stochastically(from, random),
    );
}

#[inline(never)]
fn encode_block(level: Level, code: Code, from: &[f32], random: &[u16], to: &mut [u8]) {
    level.run(
        #[inline(always)]
        || block8::encode(code.is_signed(), from, random, to),
    );
}
