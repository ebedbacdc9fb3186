//! The average of the weights.

use crate::handle::LanestepOptimizer;
use crate::input::{Out, slice, slice_mut};
use crate::status::{LanestepStatus, enter};
use crate::step::raw;
use crate::tensor::{LanestepTensor, Use};
use lanestep::Error;

/// What there is of an average of the weights.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanestepEma {
    /// None.
    None = 0,
    /// It begins with the next step.
    Waiting = 1,
    /// It is kept.
    Kept = 2,
    /// It has changed places with the parameters.
    Swapped = 3,
}

/// Keeps an exponential moving average of the parameters, computed in the pass of the step, or changes how much of itself it keeps
/// at each: `decay` is in `[0, 1)`. It begins as the parameters that the next step leaves.
///
/// Errors: `VALUE`, `MEMORY`.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_ema(optimizer: *mut LanestepOptimizer, decay: f64) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        Ok(optimizer.inner.set_ema(decay)?)
    })
}

/// Ends and forgets the average.
///
/// Errors: `STATE` if the parameters are in its place.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_end_ema(optimizer: *mut LanestepOptimizer) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        Ok(optimizer.inner.set_ema(None)?)
    })
}

/// What there is of an average: a `LanestepEma`, and its decay, NaN if there is none. Either may be null.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `ema` and `decay` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_ema(
    optimizer: *const LanestepOptimizer,
    ema: *mut i32,
    decay: *mut f64,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let ema = unsafe { Out::optional("ema", ema) }?;
        // SAFETY: the caller's word.
        let decay = unsafe { Out::optional("decay", decay) }?;
        let found = match (optimizer.inner.ema_decay(), optimizer.inner.ema()) {
            _ if optimizer.swapped => LanestepEma::Swapped,
            (None, _) => LanestepEma::None,
            (_, None) => LanestepEma::Waiting,
            (_, Some(_)) => LanestepEma::Kept,
        };
        ema.into_iter().for_each(|ema| ema.put(found as i32));
        decay.into_iter().for_each(|decay| decay.put(optimizer.inner.ema_decay().unwrap_or(f64::NAN)));
        Ok(())
    })
}

/// Reads the average of the elements from `start` to before `end`.
///
/// Errors: `LENGTH`, and `STATE` if it is not `KEPT`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `end - start` numbers can be written to `average`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_read_ema(
    optimizer: *const LanestepOptimizer,
    start: usize,
    end: usize,
    average: *mut f32,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        let range = optimizer.range(start, end)?;
        // SAFETY: the caller's word.
        let average = unsafe { slice_mut("average", average, range.len()) }?;
        let absent = if optimizer.swapped { Error::Swapped } else { Error::NoEma };
        average.copy_from_slice(&optimizer.inner.ema().ok_or(absent)?[range]);
        Ok(())
    })
}

/// Goes on from an average of an earlier run, of all parameters. `lanestep_set_ema` asks for one before.
///
/// Errors: `LENGTH`, `STATE`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; there are `len` numbers at `average`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_restore_ema(
    optimizer: *mut LanestepOptimizer,
    average: *const f32,
    len: usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        // SAFETY: the caller's word.
        let average = unsafe { slice("average", average, len) }?;
        Ok(optimizer.inner.restore_ema(average)?)
    })
}

/// Lets parameters and average change places: to evaluate or ship the average. A second call puts both back, bit for bit; until
/// then steps are an error. Of the tensors, only the parameters are looked at; they must be `F32`, or split.
///
/// Errors: `STATE` if there is no average yet, `FORMAT`, `NULL`, `ALIGNMENT`, `LENGTH`, `OVERLAP`, `VALUE`, `NAME`, `TEXT`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; there are `count` tensors, whose memory is theirs as for `lanestep_step`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_swap_ema(
    optimizer: *mut LanestepOptimizer,
    tensors: *const LanestepTensor,
    count: usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        // SAFETY: the caller's word.
        let raw = unsafe { raw(tensors, count) }?;
        // SAFETY: the caller's word.
        let mut tensors = unsafe { LanestepTensor::all(&raw, Use::Params, None) }?;
        optimizer.inner.swap_ema(&mut tensors)?;
        optimizer.swapped = !optimizer.swapped;
        Ok(())
    })
}
