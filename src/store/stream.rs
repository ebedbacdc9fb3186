//! Consecutive numbers in any format.

use super::Format;
use core::ops::Range;

/// Numbers that a step reads and writes.
pub(crate) enum Stream<'a> {
    F32(&'a mut [f32]),
    #[cfg(feature = "half")]
    Bf16(&'a mut [half::bf16]),
    #[cfg(feature = "half")]
    F16(&'a mut [half::f16]),
}

impl Default for Stream<'_> {
    fn default() -> Self {
        Self::F32(&mut [])
    }
}

impl<'a> Stream<'a> {
    /// The first `len` numbers of a memory of such a format.
    pub(crate) fn new(format: Format, memory: &'a mut [f32], len: usize) -> Self {
        match format {
            Format::F32 => Self::F32(&mut memory[..len]),
            #[cfg(feature = "half")]
            Format::Bf16 => Self::Bf16(&mut bytemuck::cast_slice_mut(memory)[..len]),
            #[cfg(feature = "half")]
            Format::F16 => Self::F16(&mut bytemuck::cast_slice_mut(memory)[..len]),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            #[cfg(feature = "half")]
            Self::Bf16(numbers) => numbers.len(),
            #[cfg(feature = "half")]
            Self::F16(numbers) => numbers.len(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn borrow(&mut self) -> Stream<'_> {
        match self {
            Self::F32(numbers) => Stream::F32(numbers),
            #[cfg(feature = "half")]
            Self::Bf16(numbers) => Stream::Bf16(numbers),
            #[cfg(feature = "half")]
            Self::F16(numbers) => Stream::F16(numbers),
        }
    }

    #[inline]
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        match self {
            Self::F32(numbers) => {
                let (left, right) = numbers.split_at_mut(mid);
                (Self::F32(left), Self::F32(right))
            }
            #[cfg(feature = "half")]
            Self::Bf16(numbers) => {
                let (left, right) = numbers.split_at_mut(mid);
                (Self::Bf16(left), Self::Bf16(right))
            }
            #[cfg(feature = "half")]
            Self::F16(numbers) => {
                let (left, right) = numbers.split_at_mut(mid);
                (Self::F16(left), Self::F16(right))
            }
        }
    }

    /// As they are, if they are computed with so.
    #[inline]
    pub(crate) fn into_plain(self) -> Result<&'a mut [f32], Self> {
        match self {
            Self::F32(numbers) => Ok(numbers),
            #[cfg(feature = "half")]
            other => Err(other),
        }
    }

    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self, Self::F32(_))
    }

    /// Into as many numbers that are computed with.
    #[inline(always)]
    pub(crate) fn decode(&self, to: &mut [f32]) {
        match self {
            Self::F32(numbers) => to.copy_from_slice(numbers),
            #[cfg(feature = "half")]
            Self::Bf16(numbers) => super::half::decode_bf16(numbers, to),
            #[cfg(feature = "half")]
            Self::F16(numbers) => super::half::decode_f16(numbers, to),
        }
    }

    /// Some of the numbers in a memory of a format.
    pub(crate) fn decode_from(format: Format, memory: &[f32], range: Range<usize>, to: &mut [f32]) {
        match format {
            Format::F32 => to.copy_from_slice(&memory[range]),
            #[cfg(feature = "half")]
            Format::Bf16 => super::half::decode_bf16(&bytemuck::cast_slice(memory)[range], to),
            #[cfg(feature = "half")]
            Format::F16 => super::half::decode_f16(&bytemuck::cast_slice(memory)[range], to),
        }
    }

    /// From as many numbers that are computed with.
    #[inline(always)]
    pub(crate) fn encode(&mut self, from: &[f32]) {
        match self {
            Self::F32(numbers) => numbers.copy_from_slice(from),
            #[cfg(feature = "half")]
            Self::Bf16(numbers) => super::half::encode_bf16(from, numbers),
            #[cfg(feature = "half")]
            Self::F16(numbers) => super::half::encode_f16(from, numbers),
        }
    }
}
