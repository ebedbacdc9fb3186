//! Zeros from the system.

#[cfg(all(feature = "huge-pages", target_os = "linux"))]
use memmap2::{Advice, MmapMut};

/// Zeros that may begin anywhere in a page. Those that the system maps lazily are not touched.
pub(super) struct Pages {
    memory: Memory,
    /// In bytes, what the numbers have to spare: they can begin at any offset from a multiple of it.
    pub(super) unit: usize,
}

enum Memory {
    Small(Vec<f32>),
    #[cfg(all(feature = "huge-pages", target_os = "linux"))]
    Huge(MmapMut),
}

impl Pages {
    pub(super) const NONE: Self = Self { memory: Memory::Small(Vec::new()), unit: super::LINE };

    pub(super) fn zeroed(len: usize) -> Option<Self> {
        #[cfg(all(feature = "huge-pages", target_os = "linux"))]
        if let Some(huge) = huge(len.checked_mul(4)?) {
            return Some(Self { memory: Memory::Huge(huge), unit: HUGE });
        }
        // What is shorter than half a page only begins on a cache line, as it would mostly be gap.
        let unit = if len < super::PAGE / 8 { super::LINE } else { super::PAGE };
        let memory = bytemuck::allocation::try_zeroed_vec(len.checked_add(unit / 4)?).ok()?;
        Some(Self { memory: Memory::Small(memory), unit })
    }

    #[inline]
    pub(super) fn all(&self) -> &[f32] {
        match &self.memory {
            Memory::Small(memory) => memory,
            #[cfg(all(feature = "huge-pages", target_os = "linux"))]
            Memory::Huge(memory) => bytemuck::cast_slice(memory),
        }
    }

    #[inline]
    pub(super) fn all_mut(&mut self) -> &mut [f32] {
        match &mut self.memory {
            Memory::Small(memory) => memory,
            #[cfg(all(feature = "huge-pages", target_os = "linux"))]
            Memory::Huge(memory) => bytemuck::cast_slice_mut(memory),
        }
    }
}

/// What x86-64 and most others have. Where they are larger, all is in small ones.
#[cfg(all(feature = "huge-pages", target_os = "linux"))]
const HUGE: usize = 1 << 21;

/// Bytes that are in huge pages as far as these fill them, if they fill any and there is memory. A step
/// walks along several arrays at once and needs another page of each with every 4,096 bytes, so that it often waits for the
/// translation of an address. Many systems have huge pages for those alone who ask for them.
#[cfg(all(feature = "huge-pages", target_os = "linux"))]
fn huge(bytes: usize) -> Option<MmapMut> {
    // The last page may be a little longer than what it is for.
    const BEYOND: usize = HUGE / 8;
    let whole = bytes.checked_add(BEYOND)? / HUGE * HUGE;
    if whole == 0 {
        return None;
    }
    let memory = MmapMut::map_anon(bytes.checked_add(HUGE + BEYOND)?).ok()?;
    let first = memory.as_ptr().addr().next_multiple_of(HUGE) - memory.as_ptr().addr();
    // Without, they are small: the system may have no huge ones at all. Or all are huge, where nobody asks.
    let _ = memory.advise_range(Advice::HugePage, first, whole);
    let _ = memory.advise_range(Advice::NoHugePage, first + whole, memory.len() - first - whole);
    Some(memory)
}
