//! Threads, which a fork does not take along.
//!
//! A child process has the memory of its parent, but of its threads only the one that forked: a pool that was made before waits
//! there for ever. So pools are found by the process that made them. They lie in a list that only grows, without a lock, since
//! a lock that another thread held at the fork is never opened in the child. Pools are never taken down: there is one for each
//! number of threads that is asked for, and of those a parent leaves behind, a child must not touch anything. (A process is known by its number. Where a descendant has
//! the very number of a process that it inherits a pool of, as after numbers have run out or in a namespace of its own, it waits.)

use crate::handle::LanestepOptimizer;
use crate::input::Out;
use crate::status::{Failure, LanestepStatus, enter};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// More than any machine has, and few enough for a system to give.
const MOST: usize = 1024;

struct Pool {
    process: u32,
    threads: usize,
    pool: ThreadPool,
    /// Those that were there before.
    next: *const Self,
}

static POOLS: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

/// This process's pool of so many threads.
pub(crate) fn of(threads: usize) -> Result<&'static ThreadPool, Failure> {
    let process = process::id();
    let mut first = POOLS.load(Ordering::Acquire).cast_const();
    if let Some(found) = find(first, process, threads) {
        return Ok(found);
    }
    let named = |thread| format!("lanestep-{thread}");
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(named).build();
    let failed = |error| Failure::new(LanestepStatus::Threads, format!("no pool of threads: {error}"));
    let made = Box::into_raw(Box::new(Pool { process, threads, pool: pool.map_err(failed)?, next: first }));
    while let Err(now) = POOLS.compare_exchange(first.cast_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
        first = now;
        if let Some(found) = find(first, process, threads) {
            // SAFETY: nobody else has seen it.
            drop(unsafe { Box::from_raw(made) });
            return Ok(found);
        }
        // SAFETY: nobody else has seen it.
        unsafe { (*made).next = first };
    }
    // SAFETY: it is in the list now, from which nothing is ever taken.
    Ok(unsafe { &(*made).pool })
}

fn find(mut next: *const Pool, process: u32, threads: usize) -> Option<&'static ThreadPool> {
    // SAFETY: whatever is in the list was whole when it came there, and is never changed or taken away.
    while let Some(pool) = unsafe { next.as_ref() } {
        if (pool.process, pool.threads) == (process, threads) {
            return Some(&pool.pool);
        }
        next = pool.next;
    }
    None
}

/// Lets an optimizer step on so many threads, from the next step on: 0 is all that the machine has (or the environment's
/// `RAYON_NUM_THREADS`), which is the default, and 1 is the caller's alone. No result depends on it. A step of up to 32,768
/// elements takes the caller's thread in any case.
///
/// Optimizers with one number of threads share them. They are made at the first step that needs them, and again in a process
/// that was forked after that.
///
/// Errors: `VALUE` if there are more than 1024.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_threads(
    optimizer: *mut LanestepOptimizer,
    threads: usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        if threads > MOST {
            let message = format!("{threads} threads, but there may be {MOST}");
            return Err(Failure::new(LanestepStatus::Value, message));
        }
        optimizer.threads = threads;
        Ok(())
    })
}

/// On how many threads an optimizer steps, as it was set.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `threads` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_threads(
    optimizer: *const LanestepOptimizer,
    threads: *mut usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        unsafe { Out::new("threads", threads) }?.put(optimizer.threads);
        Ok(())
    })
}
