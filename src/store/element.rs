//! Numbers that slices are of.

use super::{Source, Stream};

pub trait Sealed: Sized {
    fn source(numbers: &[Self]) -> Source<'_>;
    fn stream(numbers: &mut [Self]) -> Stream<'_>;
}

/// What the slices of a [`Tensor`](crate::Tensor) may hold: `f32`, and with feature `half` its `bf16` and `f16`.
pub trait Element: Sealed {}

impl<T: Sealed> Element for T {}
