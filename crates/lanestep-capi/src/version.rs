//! Which library this is.

use std::ffi::{CStr, c_char};

/// The number of this header's interface. It changes when a function or a structure does, not when one is added.
pub const LANESTEP_ABI: u32 = 1;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no zero in it"),
};

/// The interface of the library that is loaded, to be compared with the header's `LANESTEP_ABI`.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn lanestep_abi() -> u32 {
    LANESTEP_ABI
}

/// The version of the library that is loaded, such as "0.1.0". It is valid for ever.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn lanestep_version() -> *const c_char {
    VERSION.as_ptr()
}
