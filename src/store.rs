//! Formats in which numbers rest. A format knows no formula, and no formula a format.

mod element;
#[cfg(feature = "half")]
mod half;
mod stream;

pub use element::Element;
pub(crate) use stream::{Source, Stream};

use core::fmt;

/// What a number of state is kept as. It is computed with as an `f32` in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Four bytes: as it is computed.
    #[default]
    F32,
    /// Two bytes: the upper half of an `f32`, rounded to the nearest, to even where two are. Eight bits of precision, and all of
    /// the range.
    #[cfg(feature = "half")]
    Bf16,
    /// Two bytes: IEEE 754's half precision, rounded likewise. Eleven bits of precision from 6e-5 to 65,504; what is under 3e-8
    /// is zero, and what is above infinite. Mean squares of gradients that are small, as most are, do not fit.
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
