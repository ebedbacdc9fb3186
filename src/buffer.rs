//! Where numbers lie in memory.

mod pages;

use crate::Error;
use core::fmt;
use core::ops::{Deref, DerefMut, Range};
use pages::Pages;

/// Parameters or gradients that begin at a chosen place of a page of memory: a `Vec<f32>` that a step finds where it is
/// fastest. It is a slice to all who use it.
///
/// A CPU tells loads from stores that are not finished yet by the lowest twelve bits of their addresses. A load that is up to
/// some hundred bytes *behind* a store in its page waits for it, even if that is in another page. A step walks along
/// several arrays at once, so it matters where in their pages they begin: at 10^5 parameters in L2 and L3, AdamW took 0.49 ns
/// for each with its state 48 bytes ahead of parameters and gradients, and 0.29 ns with all of them far apart. (Zen 4,
/// AVX-512, one thread. What costs 1.6 times as much at 48 bytes costs 1.15 at 192, 1.08 at 256, 1.03 at 320, and nothing from
/// 512 on. AVX2, with half as long stores, loses a quarter at worst. In DRAM one thread loses a fifth, and two threads, which
/// it bounds, nothing that stands out from its noise, with small pages and with huge ones.)
///
/// An optimizer puts its state far from where large `Vec`s begin, and if its first call has one slice, far from where that
/// and its gradients really begin. So `Vec`s that stay where they are do well. Buffers are apart from each other too, and
/// begin on cache lines.
///
/// With feature `huge-pages`, on by default, large buffers are in huge pages where Linux has them for those who ask (`madvise` in
/// `/sys/kernel/mm/transparent_hugepage/enabled`); and so is an optimizer's state. Beyond the caches it is this that counts: with
/// all in huge pages, AdamW took 0.69 to 0.90 of its time on a Zen 4 in a virtual machine, with the state alone 0.87 to 0.97. What is
/// written first is 2 MiB then, which belong to the thread that wrote; it may wait until the system has made room for them.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use lanestep::{AdamW, Buffer, Optimizer};
/// let [mut params, mut grads] = Buffer::together([1000; 2])?;
/// params.fill(1.0);
/// grads.copy_from_slice(&vec![0.5; 1000]);
/// Optimizer::new(AdamW::default(), params.len())?.step(&mut params, &grads)?;
/// # Ok(()) }
/// ```
pub struct Buffer {
    pages: Pages,
    numbers: Range<usize>,
}

pub(crate) const PAGE: usize = 4096;
const LINE: usize = 64;

/// Where large `Vec`s begin in their pages, behind what the allocator notes about them. Small ones begin anywhere.
pub(crate) const OF_VECS: usize = 16;

impl Buffer {
    /// Zeros. Memory that the system maps lazily is not touched.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no room for them.
    pub fn zeroed(len: usize) -> Result<Self, Error> {
        Self::together([len]).map(|[buffer]| buffer)
    }

    /// Buffers of zeros for one call, such as `[params, grads]`, apart from each other. Those of less than half a page, 512
    /// numbers, only begin on cache lines.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no room for them.
    pub fn together<const N: usize>(lens: [usize; N]) -> Result<[Self; N], Error> {
        let mut buffers = [const { Self { pages: Pages::NONE, numbers: 0..0 } }; N];
        let mut taken = [0; N];
        for (k, len) in lens.into_iter().enumerate() {
            let offset = apart(taken[..k].iter().copied());
            buffers[k] = Self::at(offset, len).ok_or(Error::Memory { slots: 1, len })?;
            taken[k] = buffers[k].offset();
        }
        Ok(buffers)
    }

    /// A copy that begins at the same offset of another page. Pages that hold nothing but zeros are not touched there, so
    /// that what the system has mapped lazily stays without memory.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no room for it.
    pub fn try_clone(&self) -> Result<Self, Error> {
        let mut copy =
            Self::at(self.offset(), self.len()).ok_or(Error::Memory { slots: 1, len: self.len() })?;
        for (to, from) in copy.chunks_mut(PAGE / 4).zip(self.chunks(PAGE / 4)) {
            if from.iter().any(|x| x.to_bits() != 0) {
                to.copy_from_slice(from);
            }
        }
        Ok(copy)
    }

    /// Zeros that begin at an offset of a page, or if they are less than half of one, on a cache line.
    pub(crate) fn at(offset: usize, len: usize) -> Option<Self> {
        let mut buffer = Self { pages: Pages::zeroed(len)?, numbers: 0..len };
        buffer.begin_at(offset);
        Some(buffer)
    }

    /// Begins elsewhere. All numbers must still be zero, as they stay behind.
    pub(crate) fn begin_at(&mut self, offset: usize) {
        let (all, unit) = (self.pages.all(), self.pages.unit);
        if all.len() > self.numbers.len() {
            let start = (offset + unit - all.as_ptr().addr() % unit) % unit / 4;
            self.numbers = start..start + self.numbers.len();
        }
    }

    /// Where in its page it begins.
    pub(crate) fn offset(&self) -> usize {
        offset_of(self)
    }
}

/// Where in its page a slice begins.
fn offset_of(numbers: &[f32]) -> usize {
    numbers.as_ptr().addr() % PAGE
}

/// The offset of a page that is farthest from those that are taken, in whole cache lines.
pub(crate) fn apart(taken: impl Iterator<Item = usize> + Clone) -> usize {
    let distance = |from: usize, to: usize| {
        let ahead = from.abs_diff(to) % PAGE;
        ahead.min(PAGE - ahead)
    };
    let nearest = |offset: usize| taken.clone().map(|other| distance(offset, other)).min();
    (0..PAGE).step_by(LINE).rev().max_by_key(|&offset| nearest(offset)).unwrap_or_default()
}

impl Deref for Buffer {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.pages.all()[self.numbers.clone()]
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.pages.all_mut()[self.numbers.clone()]
    }
}

/// [`try_clone`](Buffer::try_clone), which panics where there is no memory.
impl Clone for Buffer {
    fn clone(&self) -> Self {
        self.try_clone().expect("memory for a copy")
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_at_its_offset_and_holds_zeros() {
        for len in [0, 1, 15, 16, 511, 512, 513, 40_000, 458_751, 458_752, 1_000_000] {
            for offset in [0, 64, 1024, 4032] {
                let mut buffer = Buffer::at(offset, len).unwrap();
                let check = |buffer: &Buffer, offset| {
                    assert_eq!(buffer.len(), len);
                    assert!(buffer.iter().all(|x| x.to_bits() == 0));
                    assert_eq!(buffer.offset() % LINE, 0);
                    assert!(len < 512 || buffer.offset() == offset, "{len} {offset}");
                };
                check(&buffer, offset);
                check(&buffer.clone(), offset);
                buffer.begin_at(2048);
                check(&buffer, 2048);
            }
        }
    }

    #[test]
    fn offsets_are_as_far_apart_as_a_page_allows() {
        let mut taken = vec![OF_VECS];
        for k in 1..=16_usize {
            let next = apart(taken.iter().copied());
            assert_eq!(next % LINE, 0);
            for other in &taken {
                let ahead = next.abs_diff(*other);
                // Half of the page, then quarters, then eighths: all but the misalignment of the first.
                let least = 4096 / (k + 1).next_power_of_two() - 64;
                assert!(ahead.min(4096 - ahead) >= least, "{taken:?} {next}");
            }
            taken.push(next);
        }
        let [params, grads] = Buffer::together([1000; 2]).unwrap();
        assert_eq!((params.offset(), grads.offset()), (0, 2048));
    }

    #[test]
    fn too_much_is_an_error() {
        let error = Buffer::zeroed(usize::MAX).unwrap_err();
        assert_eq!(error, Error::Memory { slots: 1, len: usize::MAX });
        assert!(Buffer::together([1, isize::MAX as usize / 4]).is_err());
    }

    #[test]
    fn it_is_a_slice() {
        let mut buffer = Buffer::zeroed(3).unwrap();
        buffer[1] = 2.0;
        assert_eq!(format!("{buffer:?}"), "[0.0, 2.0, 0.0]");
        assert_eq!(buffer.clone()[..], [0.0, 2.0, 0.0]);
    }
}
