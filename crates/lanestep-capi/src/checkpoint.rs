//! Files.

use crate::describe;
use crate::handle::{Inner, LanestepOptimizer};
use crate::input::{Out, optional_text, text};
use crate::status::{Failure, LanestepStatus, enter};
use crate::step::raw;
use crate::tensor::{LanestepTensor, Use};
use crate::text::put_json;
use lanestep::checkpoint::{Checkpoint, Snapshot};
use serde_json::Value;
use std::ffi::c_char;

/// Writes all of an optimizer to a file, or replaces it: at any moment there is either the old one or the new one, whole. With
/// tensors, their parameters go into it too; with `extra`, which is JSON and may be null, whatever a trainer adds. The path is UTF-8.
///
/// Errors: `FILE`, `CHECKPOINT`, `TEXT`, `STATE` if the parameters are in the place of their average, and `NULL`, `ALIGNMENT`,
/// `LENGTH`, `VALUE`, `NAME` for tensors.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `path`, and `extra` if it is not null, end with a zero; there are `count`
/// tensors, whose parameters nobody writes meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_save(
    optimizer: *const LanestepOptimizer,
    path: *const c_char,
    tensors: *const LanestepTensor,
    count: usize,
    extra: *const c_char,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let path = unsafe { text("path", path) }?;
        // SAFETY: the caller's word.
        let extra = unsafe { optional_text("extra", extra) }?;
        // SAFETY: the caller's word.
        let raw = unsafe { raw(tensors, count) }?;
        let mut snapshot = Snapshot::of(&optimizer.inner);
        if !raw.is_empty() {
            // SAFETY: the caller's word.
            snapshot = snapshot.params(unsafe { LanestepTensor::params(&raw) }?);
        }
        if let Some(extra) = extra {
            let failed = |error| Failure::new(LanestepStatus::Text, format!("extra: {error}"));
            snapshot = snapshot.extra(&serde_json::from_str::<Value>(extra).map_err(failed)?);
        }
        Ok(snapshot.save(path)?)
    })
}

/// The optimizer that was saved, into `*optimizer`: its next step has the same bits as if there had been no interruption. `layout` is
/// JSON as for `lanestep_new_with`, which the file must fit; null takes the file's. With tensors, their parameters are read too. The
/// path is UTF-8.
///
/// Errors: `FILE`, `CHECKPOINT`, `TEXT`, `LENGTH` and `NAME` if the file is of other tensors, `MEMORY`, and `NULL`, `ALIGNMENT`,
/// `OVERLAP`, `VALUE` for tensors.
///
/// # Safety
/// `path`, and `layout` if it is not null, end with a zero; there are `count` tensors, whose parameters are theirs as for
/// `lanestep_step`; `optimizer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_load(
    path: *const c_char,
    layout: *const c_char,
    tensors: *const LanestepTensor,
    count: usize,
    optimizer: *mut *mut LanestepOptimizer,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("optimizer", optimizer) }?;
        // SAFETY: the caller's word.
        let path = unsafe { text("path", path) }?;
        // SAFETY: the caller's word.
        let layout = unsafe { optional_text("layout", layout) }?.map(describe::layout).transpose()?;
        // SAFETY: the caller's word.
        let raw = unsafe { raw(tensors, count) }?;
        // SAFETY: the caller's word.
        let mut tensors = unsafe { LanestepTensor::all(&raw, Use::Params, None) }?;
        let mut file = Checkpoint::open(path)?;
        let layout = layout.unwrap_or_else(|| file.layout().clone());
        let made = file.optimizer(layout)?;
        if !tensors.is_empty() {
            file.params(&mut tensors)?;
        }
        out.put(Inner::new(made).boxed());
        Ok(())
    })
}

/// What a trainer has added to a file, as JSON, into `*json`, which `lanestep_text_free` frees; the text `null` if it has not.
/// Keys come in the order of their letters.
///
/// Errors: `FILE`, `CHECKPOINT`, `TEXT`.
///
/// # Safety
/// `path` ends with a zero; `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_load_extra(path: *const c_char, json: *mut *mut c_char) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let path = unsafe { text("path", path) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("json", json) }?;
        let mut file = Checkpoint::open(path)?;
        let extra = if file.has_extra() { file.extra()? } else { Value::Null };
        put_json(out, &extra)
    })
}
