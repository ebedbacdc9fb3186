//! Formats in which numbers rest. A format knows no formula, and no formula a format.

pub(crate) mod block8;
mod code;
mod element;
mod random;
mod round;
mod shelf;
mod sixteen;
mod stream;
mod tile;

pub(crate) use code::{BLOCK, Code, SCALE};
pub use element::Element;
pub(crate) use random::Random;
pub(crate) use shelf::Shelf;
pub(crate) use sixteen::to_bf16;
pub(crate) use stream::{Source, Stream, numbers, numbers_mut};
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
    Bf16,
    /// Two bytes: IEEE 754's half precision. In state that is [never negative](crate::Rule::non_negative), what is less than its
    /// least number, 6e-8, is that and not zero.
    F16,
    /// One byte, and four for every 256 numbers: their scale. For state alone. Where a rule measures
    /// [layers](crate::Formula::LAYERWISE), a step with any such state updates on the calling thread.
    Block8,
}

impl Format {
    /// Every one that there is.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        &[Self::F32, Self::Bf16, Self::F16, Self::Block8]
    }

    /// As files call it: `F32`, `BF16`, `F16`, `BLOCK8`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::Bf16 => "BF16",
            Self::F16 => "F16",
            Self::Block8 => "BLOCK8",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How what is kept in less than 32 bits is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rounding {
    /// To the nearest number, to the even one of two. State in [`Format::Block8`] is rounded stochastically all the same, as
    /// with the seed 0.
    #[default]
    Nearest,
    /// Up or down at random, so that the mean is exact: with a probability in proportion to how near each of the two is. What
    /// is added up over many steps is then not lost, however little each adds.
    ///
    /// The random bits are a function of the seed, the optimizer's [step](crate::Optimizer::steps), the place of the number among
    /// all, and the name of the slot, and of nothing else: the same at every level, on any number of threads, and after resuming.
    Stochastic {
        /// Another one for each run, and for each optimizer in it.
        seed: u64,
    },
}
