//! State, in and out.

use crate::handle::{Inner, LanestepOptimizer};
use crate::input::{Out, slice, slice_mut, text};
use crate::status::{Failure, LanestepStatus, enter};
use crate::text::put_json;
use lanestep::Error;
use std::ffi::c_char;
use std::ops::Range;

impl Inner {
    /// Elements from `start` to before `end`.
    pub(crate) fn range(&self, start: usize, end: usize) -> Result<Range<usize>, Failure> {
        let len = self.inner.len();
        if start <= end && end <= len {
            return Ok(start..end);
        }
        let message = format!("there are no elements {start}..{end} among {len}");
        Err(Failure::new(LanestepStatus::Length, message))
    }

    /// All state of a name.
    fn whole(&self, name: &str) -> Result<Vec<f32>, Failure> {
        let mut whole = zeros(self.inner.len())?;
        self.inner.read_state(name, &mut whole)?;
        Ok(whole)
    }
}

/// Room for so many numbers.
fn zeros(len: usize) -> Result<Vec<f32>, Failure> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(len).map_err(|_| Error::Memory { slots: 1, len })?;
    zeros.resize(len, 0.0);
    Ok(zeros)
}

/// The names of all state, as a JSON list, into `*json`, which `lanestep_text_free` frees.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_state_names(
    optimizer: *const LanestepOptimizer,
    json: *mut *mut c_char,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("json", json) }?;
        put_json(out, &optimizer.inner.state_names().collect::<Vec<_>>())
    })
}

/// Reads the state of a name, of the elements from `start` to before `end`, whatever its format, as it is computed with. It is
/// zero in groups whose rule does not have the name. Of another format than `F32`, all of it is decoded for any part.
///
/// Errors: `NAME`, `LENGTH`, `MEMORY`, `TEXT`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `name` ends with a zero; `end - start` numbers can be written to `numbers`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_read_state(
    optimizer: *const LanestepOptimizer,
    name: *const c_char,
    start: usize,
    end: usize,
    numbers: *mut f32,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let name = unsafe { text("name", name) }?;
        let range = optimizer.range(start, end)?;
        // SAFETY: the caller's word.
        let numbers = unsafe { slice_mut("numbers", numbers, range.len()) }?;
        match optimizer.inner.state(name) {
            Some(state) => numbers.copy_from_slice(&state[range]),
            None if range.len() == optimizer.inner.len() => optimizer.inner.read_state(name, numbers)?,
            None => numbers.copy_from_slice(&optimizer.whole(name)?[range]),
        }
        Ok(())
    })
}

/// Puts state of a name in place of what there is, from element `start` to before `end`. What is subnormal becomes zero; in
/// another format than `F32` it is rounded to the nearest. A part takes as long as all: set all at once where there is much.
///
/// Errors: `NAME`, `LENGTH`, `MEMORY`, `TEXT`, and `VALUE` if a number is not zero in a group whose rule does not have the name.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `name` ends with a zero; there are `end - start` numbers at `numbers`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_state(
    optimizer: *mut LanestepOptimizer,
    name: *const c_char,
    start: usize,
    end: usize,
    numbers: *const f32,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        // SAFETY: the caller's word.
        let name = unsafe { text("name", name) }?;
        let range = optimizer.range(start, end)?;
        // SAFETY: the caller's word.
        let numbers = unsafe { slice("numbers", numbers, range.len()) }?;
        if range.len() == optimizer.inner.len() {
            return Ok(optimizer.inner.set_state(name, numbers)?);
        }
        let mut whole = optimizer.whole(name)?;
        whole[range].copy_from_slice(numbers);
        Ok(optimizer.inner.set_state(name, &whole)?)
    })
}
