//! An optimizer in the hands of others.

use crate::describe;
use crate::input::{Out, text};
use crate::pool;
use crate::status::{Failure, LanestepStatus, enter};
use lanestep::{AnyRule, Format, Optimizer, Parallelism};
use std::ffi::c_char;
use std::ops::{Deref, DerefMut};
use std::sync::{RwLock, TryLockError};

/// An optimizer. What changes it must be alone with it: a call that meets another thread's changes nothing and says `BUSY`.
pub struct LanestepOptimizer(RwLock<Inner>);

impl std::fmt::Debug for LanestepOptimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanestepOptimizer").finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) inner: Optimizer<AnyRule>,
    pub(crate) threads: usize,
    /// Whether the parameters are in the place of their average.
    pub(crate) swapped: bool,
}

impl LanestepOptimizer {
    /// To look at it.
    ///
    /// # Safety
    /// `this` is null, or of this library and not freed during `'a`.
    pub(crate) unsafe fn read<'a>(this: *const Self) -> Result<impl Deref<Target = Inner> + 'a, Failure> {
        // SAFETY: the caller's word.
        let lock = unsafe { this.as_ref() }.ok_or_else(null)?;
        match lock.0.try_read() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
            Err(TryLockError::WouldBlock) => Err(busy()),
        }
    }

    /// To change it.
    ///
    /// # Safety
    /// As [`read`](Self::read).
    pub(crate) unsafe fn write<'a>(this: *mut Self) -> Result<impl DerefMut<Target = Inner> + 'a, Failure> {
        // SAFETY: the caller's word. Not as `&mut`: other threads may be at the lock too.
        let lock = unsafe { this.cast_const().as_ref() }.ok_or_else(null)?;
        match lock.0.try_write() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
            Err(TryLockError::WouldBlock) => Err(busy()),
        }
    }
}

fn null() -> Failure {
    Failure::new(LanestepStatus::Null, "optimizer is null")
}

fn busy() -> Failure {
    Failure::new(LanestepStatus::Busy, "another thread is in a call with this optimizer")
}

impl Inner {
    pub(crate) const fn new(inner: Optimizer<AnyRule>) -> Self {
        Self { inner, threads: 0, swapped: false }
    }

    pub(crate) fn boxed(self) -> *mut LanestepOptimizer {
        Box::into_raw(Box::new(LanestepOptimizer(RwLock::new(self))))
    }

    /// Runs what may be shared by threads: where it is long enough, in the pool. Without a word, rayon would take its global pool,
    /// which no fork gets a new one of.
    pub(crate) fn in_pool<T: Send>(
        &mut self,
        run: impl FnOnce(&mut Optimizer<AnyRule>) -> T + Send,
    ) -> Result<T, Failure> {
        let shared = Parallelism::default();
        let is_long = matches!(shared, Parallelism::Rayon { grain } if self.inner.len() > grain);
        if self.threads == 1 || !is_long {
            self.inner.set_parallelism(Parallelism::Serial);
            return Ok(run(&mut self.inner));
        }
        let pool = pool::of(self.threads)?;
        self.inner.set_parallelism(shared);
        Ok(pool.install(|| run(&mut self.inner)))
    }

    pub(crate) fn format_of(&self, name: &str) -> Result<Format, Failure> {
        self.inner.state_format(name).ok_or_else(|| {
            let known = self.inner.state_names().collect();
            lanestep::Error::NoState { name: name.to_owned(), known }.into()
        })
    }
}

/// A new optimizer of one rule for `len` parameters, into `*optimizer`. The rule is JSON, PyTorch's dictionary of options with its
/// class under `rule`: `{"rule": "AdamW", "lr": 0.01}`. What is left out has the rule's default; `lanestep_rules` has them all.
///
/// Errors: `TEXT`, `VALUE`, `MEMORY`.
///
/// # Safety
/// `rule` ends with a zero; `optimizer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_new(
    rule: *const c_char,
    len: usize,
    optimizer: *mut *mut LanestepOptimizer,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("optimizer", optimizer) }?;
        // SAFETY: the caller's word.
        let rule = describe::rule(unsafe { text("rule", rule) }?)?;
        out.put(Inner::new(Optimizer::new(rule, len)?).boxed());
        Ok(())
    })
}

/// A new optimizer for tensors, or of groups, into `*optimizer`.
///
/// `layout` is JSON: names and shapes of the tensors in order, `[["weight", [10, 64]], ["bias", [10]]]`, which all calls must then
/// hand over in this order; or a number of parameters, which may be cut into tensors as one likes.
///
/// `groups` is JSON: a rule as `lanestep_new` takes it, for all; or a list of groups that hold every parameter once,
/// `[{"rule": {"rule": "AdamW"}, "tensors": ["weight"]}, {"rule": {"rule": "SGD", "lr": 0.1}, "tensors": ["bias"]}]`. Instead of
/// `tensors`, or beside them, there may be `ranges` of elements, `[[0, 640]]`; `lr_scale` (1) multiplies the rule's learning rate,
/// `frozen` (false) leaves the group alone.
///
/// Errors: `TEXT`, `VALUE`, `NAME`, `GROUPS`, `LENGTH`, `MEMORY`.
///
/// # Safety
/// `groups` and `layout` end with a zero; `optimizer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_new_with(
    groups: *const c_char,
    layout: *const c_char,
    optimizer: *mut *mut LanestepOptimizer,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("optimizer", optimizer) }?;
        // SAFETY: the caller's word.
        let groups = unsafe { text("groups", groups) }?;
        // SAFETY: the caller's word.
        let layout = describe::layout(unsafe { text("layout", layout) }?)?;
        out.put(Inner::new(describe::optimizer(groups, layout)?).boxed());
        Ok(())
    })
}

/// A copy that goes on by itself, into `*copy`.
///
/// Errors: `MEMORY`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `copy` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_clone(
    optimizer: *const LanestepOptimizer,
    copy: *mut *mut LanestepOptimizer,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("copy", copy) }?;
        out.put(Inner { inner: optimizer.inner.try_clone()?, ..*optimizer }.boxed());
        Ok(())
    })
}

/// Frees an optimizer. Null is nothing to free.
///
/// # Safety
/// `optimizer` is null, or of this library, in no call, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_free(optimizer: *mut LanestepOptimizer) {
    if !optimizer.is_null() {
        // SAFETY: all optimizers that go out are boxed; the rest is the caller's word.
        drop(unsafe { Box::from_raw(optimizer) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lanestep_lr, lanestep_set_lr};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr::null_mut;

    #[test]
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "they are one story")]
    fn two_in_one_optimizer_are_told_and_a_panic_does_not_lock_it() {
        let (mut optimizer, mut lr) = (null_mut(), 0.0);
        // SAFETY: all pointers are of this test.
        unsafe {
            let status = lanestep_new(c"{\"rule\": \"SGD\", \"lr\": 0.5}".as_ptr(), 1, &mut optimizer);
            assert_eq!(status, LanestepStatus::Ok);
            {
                let _other = LanestepOptimizer::read(optimizer).unwrap();
                assert_eq!(lanestep_lr(optimizer, &mut lr), LanestepStatus::Ok);
                assert_eq!(lanestep_set_lr(optimizer, 0.25), LanestepStatus::Busy);
            }
            {
                let _other = LanestepOptimizer::write(optimizer).unwrap();
                assert_eq!(lanestep_lr(optimizer, &mut lr), LanestepStatus::Busy);
            }
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _guard = LanestepOptimizer::write(optimizer).unwrap();
                panic!("as a rule may");
            }));
            assert!(panicked.is_err());
            assert_eq!(lanestep_set_lr(optimizer, 0.25), LanestepStatus::Ok);
            assert_eq!((lanestep_lr(optimizer, &mut lr), lr), (LanestepStatus::Ok, 0.25));
            lanestep_free(optimizer);
        }
    }
}
