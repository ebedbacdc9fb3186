//! Formats at a level. Out of line, so that they are compiled once and not for each formula.

use super::{Level, PARAMS};
use crate::store::{Code, Random, Shelf, Source, Stream, block8};
use core::ops::Range;

/// What rounding asks for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rounds<'a> {
    /// The bits of each stream, and of the parameters; there if any of them needs them.
    pub(crate) random: Option<&'a [Random; PARAMS + 1]>,
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
