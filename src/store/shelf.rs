//! State at rest, to be read anywhere.

use super::{BLOCK, Code, Source, block8, numbers};
use core::ops::Range;

/// Consecutive numbers of one run of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shelf<'a> {
    pub(crate) code: Code,
    /// Which of all numbers the first is.
    pub(crate) start: usize,
    pub(crate) bytes: &'a [u8],
}

impl Shelf<'_> {
    /// Those of a range among all, as they are computed with.
    #[inline(always)]
    pub(crate) fn read(self, range: Range<usize>, to: &mut [f32]) {
        let Self { code, start, bytes } = self;
        if !code.in_blocks() {
            let within = (range.start - start) * code.width()..(range.end - start) * code.width();
            return Source { code, bytes: &bytes[within] }.decode(to);
        }
        let (mut at, mut to) = (range.start, to);
        while at < range.end {
            let first = start.max(at / BLOCK * BLOCK);
            let end = range.end.min((at / BLOCK + 1) * BLOCK);
            let block = &bytes[code.bytes(start, first - start)..];
            let here = to.split_off_mut(..end - at).unwrap_or_default();
            block8::decode_some(code.is_signed(), block, at - first, here);
            at = end;
        }
    }

    /// All, if they are as they are computed with.
    pub(crate) fn plain(&self) -> Option<&[f32]> {
        if self.code == Code::F32 { Some(numbers(self.bytes)) } else { None }
    }
}
