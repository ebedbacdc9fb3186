//! Pointers from outside: what can be seen of them is checked, the rest is what `# Safety` asks for.

use crate::status::{Failure, LanestepStatus};
use std::ffi::{CStr, c_char};
use std::slice;

/// The bytes of so many numbers, if memory can have them there.
pub(crate) fn extent<T>(what: &str, pointer: *const T, len: usize) -> Result<usize, Failure> {
    let bytes = len.checked_mul(size_of::<T>()).filter(|bytes| *bytes <= isize::MAX as usize);
    let fits = bytes.filter(|bytes| pointer.addr().checked_add(*bytes).is_some());
    let message = || format!("{what} would be {len} elements, more than memory can have there");
    let bytes = fits.ok_or_else(|| Failure::new(LanestepStatus::Length, message()))?;
    check(what, pointer, len)?;
    Ok(bytes)
}

fn check<T>(what: &str, pointer: *const T, len: usize) -> Result<(), Failure> {
    if len > 0 && pointer.is_null() {
        return Err(Failure::new(LanestepStatus::Null, format!("{what} is null")));
    }
    if len > 0 && !pointer.is_aligned() {
        let message = format!("{what} is at {pointer:p}, which is no multiple of {}", align_of::<T>());
        return Err(Failure::new(LanestepStatus::Alignment, message));
    }
    Ok(())
}

/// Numbers to read. No pointer is looked at where there are none.
///
/// # Safety
/// If it is neither null nor misaligned, there are `len` numbers at `pointer`, which nobody writes during `'a`.
pub(crate) unsafe fn slice<'a, T>(what: &str, pointer: *const T, len: usize) -> Result<&'a [T], Failure> {
    extent(what, pointer, len)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null, aligned, no longer than `isize::MAX`; the rest is the caller's word.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// Numbers to write.
///
/// # Safety
/// If it is neither null nor misaligned, there are `len` numbers at `pointer`, which nobody else reads or writes during `'a`.
pub(crate) unsafe fn slice_mut<'a, T>(
    what: &str,
    pointer: *mut T,
    len: usize,
) -> Result<&'a mut [T], Failure> {
    extent(what, pointer, len)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not null, aligned, no longer than `isize::MAX`; the rest is the caller's word.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, len) })
}

/// A text, `None` if there is none.
///
/// # Safety
/// If it is not null, a text that ends with a zero begins at `pointer`, and nobody writes it during `'a`.
pub(crate) unsafe fn optional_text<'a>(
    what: &str,
    pointer: *const c_char,
) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not null; the rest is the caller's word.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    let not_utf8 = |error| Failure::new(LanestepStatus::Text, format!("{what} is not UTF-8: {error}"));
    bytes.to_str().map(Some).map_err(not_utf8)
}

/// A text.
///
/// # Safety
/// As [`optional_text`].
pub(crate) unsafe fn text<'a>(what: &str, pointer: *const c_char) -> Result<&'a str, Failure> {
    // SAFETY: the caller's word.
    let text = unsafe { optional_text(what, pointer) }?;
    text.ok_or_else(|| Failure::new(LanestepStatus::Null, format!("{what} is null")))
}

/// Where a result goes. It may hold anything before.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// If it is neither null nor misaligned, a `T` can be written to `pointer` for as long as this lives.
    pub(crate) unsafe fn new(what: &str, pointer: *mut T) -> Result<Self, Failure> {
        check(what, pointer, 1)?;
        Ok(Self(pointer))
    }

    /// The same, `None` if nobody wants the result.
    ///
    /// # Safety
    /// As [`new`](Self::new).
    pub(crate) unsafe fn optional(what: &str, pointer: *mut T) -> Result<Option<Self>, Failure> {
        // SAFETY: the caller's word.
        (!pointer.is_null()).then(|| unsafe { Self::new(what, pointer) }).transpose()
    }

    pub(crate) fn put(self, value: T) {
        // SAFETY: whoever made this has said that it can be written.
        unsafe { self.0.write(value) };
    }
}
