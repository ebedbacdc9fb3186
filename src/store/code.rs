//! How numbers become bytes.

use super::Format;

/// So many numbers share a scale: those of a run of one group between multiples of this.
pub(crate) const BLOCK: usize = 256;

/// The bytes of a scale.
pub(crate) const SCALE: usize = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Code {
    #[default]
    F32,
    Bf16,
    F16,
    /// Of what is never negative. What is not zero is not kept as zero.
    PositiveF16,
    Signed8,
    Unsigned8,
}

impl Code {
    /// `signed` says whether there may be negative numbers.
    pub(crate) const fn new(format: Format, signed: bool) -> Self {
        match format {
            Format::F32 => Self::F32,
            Format::Bf16 => Self::Bf16,
            Format::F16 if signed => Self::F16,
            Format::F16 => Self::PositiveF16,
            Format::Block8 if signed => Self::Signed8,
            Format::Block8 => Self::Unsigned8,
        }
    }

    pub(crate) const fn format(self) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::Bf16 => Format::Bf16,
            Self::F16 | Self::PositiveF16 => Format::F16,
            Self::Signed8 | Self::Unsigned8 => Format::Block8,
        }
    }

    /// Whether codes in blocks have signs.
    pub(crate) const fn is_signed(self) -> bool {
        matches!(self, Self::Signed8)
    }

    /// Whether numbers share scales, and so are written a block at a time.
    pub(crate) const fn in_blocks(self) -> bool {
        matches!(self, Self::Signed8 | Self::Unsigned8)
    }

    /// The bytes of `len` numbers of one run of a group, of which the first is the `start`th of all. A block is cut nowhere but
    /// where the run ends.
    #[inline]
    pub(crate) const fn bytes(self, start: usize, len: usize) -> usize {
        match self {
            Self::F32 => 4 * len,
            Self::Bf16 | Self::F16 | Self::PositiveF16 => 2 * len,
            Self::Signed8 | Self::Unsigned8 if len == 0 => 0,
            Self::Signed8 | Self::Unsigned8 => len + SCALE * (start % BLOCK + len).div_ceil(BLOCK),
        }
    }

    /// The bytes of one number, where there are no scales.
    #[inline]
    pub(crate) const fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 | Self::PositiveF16 => 2,
            Self::Signed8 | Self::Unsigned8 => 1,
        }
    }
}
