//! How all that an optimizer keeps lies in bytes.

use super::STREAMS;
use crate::store::{BLOCK, Code, SCALE};

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
