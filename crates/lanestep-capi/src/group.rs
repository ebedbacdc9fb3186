//! Groups: their rules, and whether they are frozen.

use crate::describe;
use crate::handle::{Inner, LanestepOptimizer};
use crate::input::{Out, text};
use crate::status::{Failure, LanestepStatus, enter};
use crate::text::put_json;
use lanestep::{AnyRule, Error, Group};
use std::ffi::c_char;

impl Inner {
    /// What there is of a group, if there is the group.
    pub(crate) fn of_group<T>(&self, group: usize, found: Option<T>) -> Result<T, Failure> {
        let groups = self.inner.groups().len();
        found.ok_or_else(|| Error::NoGroup { found: group, groups }.into())
    }

    fn group(&self, group: usize) -> Result<&Group<AnyRule>, Failure> {
        self.of_group(group, self.inner.groups().nth(group))
    }
}

/// How many parameters there are in all.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `len` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_len(
    optimizer: *const LanestepOptimizer,
    len: *mut usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        unsafe { Out::new("len", len) }?.put(optimizer.inner.len());
        Ok(())
    })
}

/// How many tensors the layout has; 0 if it has no names.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `count` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_tensor_count(
    optimizer: *const LanestepOptimizer,
    count: *mut usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        unsafe { Out::new("count", count) }?.put(optimizer.inner.layout().iter().count());
        Ok(())
    })
}

/// How many groups there are: at least one.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `count` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_group_count(
    optimizer: *const LanestepOptimizer,
    count: *mut usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        unsafe { Out::new("count", count) }?.put(optimizer.inner.groups().len());
        Ok(())
    })
}

/// A group's rule as it was given, as JSON, into `*json`, which `lanestep_text_free` frees. The first group is 0. Its present
/// learning rate is told by `lanestep_group_lr`.
///
/// Errors: `NAME` if there is no such group.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_group_rule(
    optimizer: *const LanestepOptimizer,
    group: usize,
    json: *mut *mut c_char,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("json", json) }?;
        put_json(out, &optimizer.group(group)?.rule)
    })
}

/// Changes a group's rule or its options, from the next step on; `rule` is JSON as for `lanestep_new`. State that means the same
/// is carried over, all other starts from zero; if none is carried over, the group's steps start from 0. The learning rate is that
/// of the new rule.
///
/// Errors: `TEXT`, `VALUE`, `NAME`, `MEMORY`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `rule` ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_rule(
    optimizer: *mut LanestepOptimizer,
    group: usize,
    rule: *const c_char,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        // SAFETY: the caller's word.
        let rule = describe::rule(unsafe { text("rule", rule) }?)?;
        Ok(optimizer.inner.set_rule(group, rule)?)
    })
}

/// Whether a group is left alone, 1 or 0.
///
/// Errors: `NAME` if there is no such group.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `frozen` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_frozen(
    optimizer: *const LanestepOptimizer,
    group: usize,
    frozen: *mut i32,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("frozen", frozen) }?;
        out.put(i32::from(optimizer.group(group)?.frozen));
        Ok(())
    })
}

/// Leaves the parameters of a group alone from the next step on, or with 0 steps over them again. Its state and its steps stay.
///
/// Errors: `NAME` if there is no such group.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_frozen(
    optimizer: *mut LanestepOptimizer,
    group: usize,
    frozen: i32,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        Ok(optimizer.inner.set_frozen(group, frozen != 0)?)
    })
}
