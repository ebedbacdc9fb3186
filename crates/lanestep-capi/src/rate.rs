//! Learning rates and step counts.

use crate::handle::LanestepOptimizer;
use crate::input::Out;
use crate::status::{LanestepStatus, enter};

/// The learning rate: what was last set, or else what the rule was given. With groups, it is that of the first whose rule was
/// given one above zero.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `lr` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_lr(optimizer: *const LanestepOptimizer, lr: *mut f64) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        unsafe { Out::new("lr", lr) }?.put(optimizer.inner.lr());
        Ok(())
    })
}

/// Changes the learning rate from the next step on. Groups keep the proportions of what their rules were given: the first gets `lr`.
///
/// Errors: `VALUE` if a rule does not allow it.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_lr(optimizer: *mut LanestepOptimizer, lr: f64) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        Ok(optimizer.inner.set_lr(lr)?)
    })
}

/// The learning rate that the next step of a group takes: its own, times its `lr_scale`.
///
/// Errors: `NAME` if there is no such group.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `lr` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_group_lr(
    optimizer: *const LanestepOptimizer,
    group: usize,
    lr: *mut f64,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("lr", lr) }?;
        out.put(optimizer.of_group(group, optimizer.inner.group_lr(group))?);
        Ok(())
    })
}

/// Changes the learning rate of one group from the next step on; it is multiplied by the group's `lr_scale`.
///
/// Errors: `NAME` if there is no such group, `VALUE` if its rule does not allow it.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_group_lr(
    optimizer: *mut LanestepOptimizer,
    group: usize,
    lr: f64,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        Ok(optimizer.inner.set_group_lr(group, lr)?)
    })
}

/// How many steps have been taken, without the skipped ones.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `steps` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_steps(
    optimizer: *const LanestepOptimizer,
    steps: *mut u64,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        unsafe { Out::new("steps", steps) }?.put(optimizer.inner.steps());
        Ok(())
    })
}

/// Counts from so many steps on. To resume, set those of each group too, which rules count from.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_steps(optimizer: *mut LanestepOptimizer, steps: u64) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        optimizer.inner.set_steps(steps);
        Ok(())
    })
}

/// How many steps a group has taken, which its rule counts from: not those while it was frozen.
///
/// Errors: `NAME` if there is no such group.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `steps` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_group_steps(
    optimizer: *const LanestepOptimizer,
    group: usize,
    steps: *mut u64,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("steps", steps) }?;
        out.put(optimizer.of_group(group, optimizer.inner.group_steps(group))?);
        Ok(())
    })
}

/// Lets the rule of a group count from so many steps on.
///
/// Errors: `NAME` if there is no such group.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_group_steps(
    optimizer: *mut LanestepOptimizer,
    group: usize,
    steps: u64,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        Ok(optimizer.inner.set_group_steps(group, steps)?)
    })
}
