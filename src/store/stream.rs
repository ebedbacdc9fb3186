//! Consecutive numbers in any format.

use super::Format;
use crate::Lane;
#[cfg(feature = "half")]
use half::{bf16, f16};

/// Declares slices of numbers in every format.
macro_rules! formats {
    ($($(#[$feature:meta])? $Format:ident: $Number:ty, $decode:path, $encode:path;)+) => {
        /// Numbers that are read.
        #[derive(Clone, Copy, Debug)]
        pub enum Source<'a> {
            $($(#[$feature])? $Format(&'a [$Number]),)+
        }

        /// Numbers that are read and written.
        #[derive(Debug)]
        pub enum Stream<'a> {
            $($(#[$feature])? $Format(&'a mut [$Number]),)+
        }

        $(
            $(#[$feature])?
            impl super::element::Sealed for $Number {
                #[inline]
                fn source(numbers: &[Self]) -> Source<'_> {
                    Source::$Format(numbers)
                }

                #[inline]
                fn stream(numbers: &mut [Self]) -> Stream<'_> {
                    Stream::$Format(numbers)
                }
            }
        )+

        impl<'a> Source<'a> {
            /// The numbers that bytes are in a format.
            pub(crate) fn of(format: Format, bytes: &'a [u8]) -> Self {
                match format {
                    $($(#[$feature])? Format::$Format => Self::$Format(bytemuck::cast_slice(bytes)),)+
                }
            }

            pub(crate) const fn len(&self) -> usize {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => numbers.len(),)+
                }
            }

            /// Where it begins.
            pub(crate) fn addr(&self) -> usize {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => numbers.as_ptr().addr(),)+
                }
            }

            #[inline]
            pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => {
                        let (left, right) = numbers.split_at(mid);
                        (Self::$Format(left), Self::$Format(right))
                    })+
                }
            }

            /// Into as many numbers that are computed with.
            #[inline(always)]
            pub(crate) fn decode(self, to: &mut [f32]) {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => $decode(numbers, to),)+
                }
            }

            #[cfg(feature = "checkpoint")]
            pub(crate) fn bytes(self) -> &'a [u8] {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => bytemuck::cast_slice(numbers),)+
                }
            }

            #[cfg(feature = "checkpoint")]
            pub(crate) const fn format(&self) -> Format {
                match self {
                    $($(#[$feature])? Self::$Format(_) => Format::$Format,)+
                }
            }
        }

        impl<'a> Stream<'a> {
            /// The numbers that bytes are in a format.
            pub(crate) fn of(format: Format, bytes: &'a mut [u8]) -> Self {
                match format {
                    $($(#[$feature])? Format::$Format => Self::$Format(bytemuck::cast_slice_mut(bytes)),)+
                }
            }

            pub(crate) const fn as_source(&self) -> Source<'_> {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => Source::$Format(numbers),)+
                }
            }

            pub(crate) const fn borrow(&mut self) -> Stream<'_> {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => Stream::$Format(numbers),)+
                }
            }

            #[inline]
            pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => {
                        let (left, right) = numbers.split_at_mut(mid);
                        (Self::$Format(left), Self::$Format(right))
                    })+
                }
            }

            /// From as many numbers that are computed with.
            #[inline(always)]
            pub(crate) fn encode(&mut self, from: &[f32]) {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => $encode(from, numbers),)+
                }
            }

            /// Zeros.
            pub(crate) fn clear(&mut self) {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => numbers.fill(bytemuck::Zeroable::zeroed()),)+
                }
            }

            #[cfg(feature = "checkpoint")]
            pub(crate) fn bytes_mut(self) -> &'a mut [u8] {
                match self {
                    $($(#[$feature])? Self::$Format(numbers) => bytemuck::cast_slice_mut(numbers),)+
                }
            }
        }
    };
}

formats! {
    F32: f32, copy, copy;
    #[cfg(feature = "half")] Bf16: bf16, super::half::decode_bf16, super::half::encode_bf16;
    #[cfg(feature = "half")] F16: f16, super::half::decode_f16, super::half::encode_f16;
}

#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    to.copy_from_slice(from);
}

impl<'a> Source<'a> {
    /// Where the first is that is not zero.
    pub(crate) fn first_not_zero(self) -> Option<usize> {
        let mut number = [0.0];
        (0..self.len()).find(|&place| {
            self.split_at(place).1.split_at(1).0.decode(&mut number);
            number[0] != 0.0
        })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As they are, if they are computed with so.
    #[inline]
    pub(crate) const fn plain(self) -> Option<&'a [f32]> {
        match self {
            Self::F32(numbers) => Some(numbers),
            #[cfg(feature = "half")]
            _ => None,
        }
    }
}

impl<'a> Stream<'a> {
    pub(crate) const fn len(&self) -> usize {
        self.as_source().len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is subnormal once decoded becomes zero, as state never is. (What is subnormal in an `f16` is not, decoded.)
    pub(crate) fn flush(&mut self) {
        match self {
            Self::F32(numbers) => numbers.iter_mut().for_each(|x| *x = x.flush()),
            #[cfg(feature = "half")]
            Self::Bf16(numbers) => super::half::flush_bf16(numbers),
            #[cfg(feature = "half")]
            Self::F16(_) => {}
        }
    }

    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self, Self::F32(_))
    }

    /// As they are, if they are computed with so.
    #[inline]
    pub(crate) fn into_plain(self) -> Option<&'a mut [f32]> {
        match self {
            Self::F32(numbers) => Some(numbers),
            #[cfg(feature = "half")]
            _ => None,
        }
    }
}

impl Default for Source<'_> {
    fn default() -> Self {
        Self::F32(&[])
    }
}

impl Default for Stream<'_> {
    fn default() -> Self {
        Self::F32(&mut [])
    }
}
