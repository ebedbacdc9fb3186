//! Numbers that slices are of.

use super::Code;

pub trait Sealed: bytemuck::Pod {
    const CODE: Code;
}

/// What the slices of a [`Tensor`](crate::Tensor) may hold: `f32`, and with feature `half` its `bf16` and `f16`.
pub trait Element: Sealed {}

impl<T: Sealed> Element for T {}

impl Sealed for f32 {
    const CODE: Code = Code::F32;
}

#[cfg(feature = "half")]
impl Sealed for half::bf16 {
    const CODE: Code = Code::Bf16;
}

#[cfg(feature = "half")]
impl Sealed for half::f16 {
    const CODE: Code = Code::F16;
}
