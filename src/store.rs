//! Formats in which numbers rest. A format knows no formula, and no formula a format.

#[allow(dead_code, reason = "for the formats to come")]
mod block8;
mod element;
#[cfg(feature = "half")]
mod half;
#[allow(dead_code, reason = "for the formats to come")]
mod random;
#[cfg(feature = "half")]
#[allow(dead_code, reason = "for the formats to come")]
mod round;
mod stream;
mod tile;

pub use element::Element;
#[cfg(feature = "half")]
pub(crate) use half::to_bf16;
pub(crate) use stream::{Source, Stream};
pub(crate) use tile::{Rest, Tile};

use core::fmt;

/// What numbers are kept as. They are computed with as `f32` in any case.
///
#[cfg_attr(feature = "half", doc = include_str!("../docs/formats.md"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Four bytes: as it is computed.
    #[default]
    F32,
    /// Two bytes: the upper half of an `f32`.
    #[cfg(feature = "half")]
    Bf16,
    /// Two bytes: IEEE 754's half precision.
    #[cfg(feature = "half")]
    F16,
}

impl Format {
    /// Every one that there is.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        &[
            Self::F32,
            #[cfg(feature = "half")]
            Self::Bf16,
            #[cfg(feature = "half")]
            Self::F16,
        ]
    }

    /// Bytes a number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            #[cfg(feature = "half")]
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// As safetensors calls it: `F32`, `BF16`, `F16`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            #[cfg(feature = "half")]
            Self::Bf16 => "BF16",
            #[cfg(feature = "half")]
            Self::F16 => "F16",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
