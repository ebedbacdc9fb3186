//! How all that an optimizer keeps lies in bytes.

use super::STREAMS;
use crate::store::{BLOCK, Code, SCALE};

/// How each of what an optimizer keeps is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes<'a> {
    pub(crate) all: [Code; STREAMS],
    /// Whether all are as they are computed with.
    pub(super) plain: bool,
    /// Whether any are kept in blocks, which only multiples of [`BLOCK`] and ends of groups may cut.
    pub(super) in_blocks: bool,
    /// Where the first run of a group begins and where each ends, and blocks with them.
    edges: &'a [usize],
}

impl<'a> Codes<'a> {
    /// All as they are computed with.
    pub(crate) const PLAIN: Self = Self::new(&[]);

    /// The same, until they are [`set`](Self::set).
    pub(crate) const fn new(edges: &'a [usize]) -> Self {
        Self { all: [Code::F32; STREAMS], plain: true, in_blocks: false, edges }
    }

    #[inline]
    pub(crate) fn set(&mut self, which: usize, code: Code) {
        self.all[which] = code;
        self.plain &= code == Code::F32;
        self.in_blocks |= code.in_blocks();
    }

    /// The bytes of `len` elements of some stream, of which the first is the `start`th of all, whatever groups they are of.
    pub(crate) fn bytes(&self, code: Code, start: usize, len: usize) -> usize {
        let bytes = code.bytes(start, len);
        if !code.in_blocks() {
            return bytes;
        }
        // Each seam within a block makes two of it.
        let first = self.edges.partition_point(|edge| *edge <= start);
        let seams = self.edges[first..].iter().take_while(|edge| **edge < start + len);
        bytes + SCALE * seams.filter(|edge| !edge.is_multiple_of(BLOCK)).count()
    }
}
