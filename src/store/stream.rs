//! Consecutive numbers in any format that can be cut anywhere.

use super::{Code, Element, round, sixteen};
use crate::Lane;
use core::ops::Range;

/// The numbers that bytes are. All are aligned but what is empty, which may be anywhere.
#[inline(always)]
pub(crate) fn numbers<N: bytemuck::Pod>(bytes: &[u8]) -> &[N] {
    let numbers = bytemuck::try_cast_slice(bytes);
    debug_assert!(numbers.is_ok() || bytes.is_empty(), "{} bytes", bytes.len());
    numbers.unwrap_or_default()
}

#[inline(always)]
pub(crate) fn numbers_mut<N: bytemuck::Pod>(bytes: &mut [u8]) -> &mut [N] {
    debug_assert!(bytemuck::try_cast_slice::<_, N>(bytes).is_ok() || bytes.is_empty());
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}

/// Numbers that are read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source<'a> {
    pub(crate) code: Code,
    pub(crate) bytes: &'a [u8],
}

/// Numbers that are read and written.
#[derive(Debug, Default)]
pub(crate) struct Stream<'a> {
    pub(crate) code: Code,
    pub(crate) bytes: &'a mut [u8],
}

impl<'a> Source<'a> {
    #[inline]
    pub(crate) fn of<N: Element>(numbers: &'a [N]) -> Self {
        Self { code: N::CODE, bytes: bytemuck::cast_slice(numbers) }
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        // By constants, which are shifts.
        match self.code {
            Code::F32 => self.bytes.len() / 4,
            Code::Bf16 | Code::F16 | Code::PositiveF16 => self.bytes.len() / 2,
            Code::Signed8 | Code::Unsigned8 => self.bytes.len(),
        }
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[inline]
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        let (left, right) = self.bytes.split_at(mid * self.code.width());
        (Self { bytes: left, ..self }, Self { bytes: right, ..self })
    }

    #[inline(always)]
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        let width = self.code.width();
        Self { bytes: &self.bytes[range.start * width..range.end * width], ..self }
    }

    /// As they are, if they are computed with so.
    #[inline]
    pub(crate) fn plain(self) -> Option<&'a [f32]> {
        if self.code == Code::F32 { Some(numbers(self.bytes)) } else { None }
    }

    /// The same where the lower halves of the numbers may be elsewhere.
    #[inline(always)]
    pub(crate) fn decode_with(self, lower: &[u8], to: &mut [f32]) {
        if lower.is_empty() {
            return self.decode(to);
        }
        sixteen::join(numbers(self.bytes), numbers(lower), to);
    }

    /// Into as many numbers that are computed with.
    #[inline(always)]
    pub(crate) fn decode(self, to: &mut [f32]) {
        match self.code {
            Code::Bf16 => sixteen::decode_bf16(numbers(self.bytes), to),
            Code::F16 | Code::PositiveF16 => sixteen::decode_f16(numbers(self.bytes), to),
            _ => to.copy_from_slice(numbers(self.bytes)),
        }
    }
}

impl<'a> Stream<'a> {
    #[inline]
    pub(crate) fn of<N: Element>(numbers: &'a mut [N]) -> Self {
        Self { code: N::CODE, bytes: bytemuck::cast_slice_mut(numbers) }
    }

    #[inline]
    pub(crate) const fn as_source(&self) -> Source<'_> {
        Source { code: self.code, bytes: self.bytes }
    }

    #[inline]
    pub(crate) const fn borrow(&mut self) -> Stream<'_> {
        Stream { code: self.code, bytes: self.bytes }
    }

    #[inline]
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        let (left, right) = self.bytes.split_at_mut(mid * self.code.width());
        (Self { bytes: left, code: self.code }, Self { bytes: right, code: self.code })
    }

    /// As they are, if they are computed with so.
    #[inline]
    pub(crate) fn into_plain(self) -> Option<&'a mut [f32]> {
        if self.code == Code::F32 { Some(numbers_mut(self.bytes)) } else { None }
    }

    /// From as many numbers that are computed with, each to the nearest.
    #[inline(always)]
    pub(crate) fn encode(&mut self, from: &[f32]) {
        match self.code {
            Code::Bf16 => sixteen::encode_bf16(from, numbers_mut(self.bytes)),
            Code::F16 => sixteen::encode_f16::<false>(from, numbers_mut(self.bytes)),
            Code::PositiveF16 => sixteen::encode_f16::<true>(from, numbers_mut(self.bytes)),
            _ => numbers_mut(self.bytes).copy_from_slice(from),
        }
    }

    /// The same at random, by sixteen bits for each.
    #[inline(always)]
    pub(crate) fn encode_stochastically(&mut self, from: &[f32], random: &[u16]) {
        match self.code {
            Code::Bf16 => round::encode_bf16(from, random, numbers_mut(self.bytes)),
            Code::F16 => round::encode_f16::<false>(from, random, numbers_mut(self.bytes)),
            Code::PositiveF16 => round::encode_f16::<true>(from, random, numbers_mut(self.bytes)),
            _ => numbers_mut(self.bytes).copy_from_slice(from),
        }
    }

    /// Upper halves here, and lower ones there.
    #[inline(always)]
    pub(crate) fn split_with(&mut self, lower: &mut [u8], from: &[f32]) {
        sixteen::split(from, numbers_mut(self.bytes), numbers_mut(lower));
    }

    /// What is subnormal once decoded becomes zero, as state never is. (What is subnormal in an `f16` is not, decoded.)
    pub(crate) fn flush(self) {
        match self.code {
            Code::F32 => numbers_mut::<f32>(self.bytes).iter_mut().for_each(|x| *x = x.flush()),
            Code::Bf16 => sixteen::flush_bf16(numbers_mut(self.bytes)),
            _ => {}
        }
    }
}
