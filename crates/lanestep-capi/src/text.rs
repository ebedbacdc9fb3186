//! Texts that go out.

use crate::input::Out;
use crate::status::Failure;
use std::ffi::{CString, c_char};

/// Frees a text that the library has handed out. Null is nothing to free.
///
/// # Safety
/// `text` is null, or one that a call has put into its `char **`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_text_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it comes from `CString::into_raw`, as all that go out.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Hands out what it is in JSON, which has no zero in it.
pub(crate) fn put_json(out: Out<*mut c_char>, value: &impl serde::Serialize) -> Result<(), Failure> {
    let failed = |error: String| Failure::new(crate::LanestepStatus::Other, error);
    let json = serde_json::to_string(value).map_err(|error| failed(error.to_string()))?;
    out.put(CString::new(json).map_err(|error| failed(error.to_string()))?.into_raw());
    Ok(())
}
