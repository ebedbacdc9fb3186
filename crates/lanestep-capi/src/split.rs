//! Parameters of which the upper halves are the caller's, as `BF16`, and the lower ones the optimizer's.

use crate::handle::LanestepOptimizer;
use crate::input::{Out, slice, slice_mut};
use crate::overlap::{Region, Whose};
use crate::status::{LanestepStatus, enter};
use crate::step::raw;
use crate::tensor::{LanestepTensor, Use};

/// Keeps the lower sixteen bits of parameters whose upper ones are the caller's, as `BF16`, or with 0 forgets them: a run then has
/// the bits of one with parameters in `F32`. It begins with lower halves of zero; `lanestep_set_masters` begins with others.
///
/// Errors: `MEMORY`, and `STATE` if the parameters are in the place of their average.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_split(optimizer: *mut LanestepOptimizer, split: i32) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        Ok(optimizer.inner.set_split(split != 0)?)
    })
}

/// Whether it keeps the lower halves of parameters, 1 or 0.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `split` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_split(
    optimizer: *const LanestepOptimizer,
    split: *mut i32,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        unsafe { Out::new("split", split) }?.put(i32::from(optimizer.inner.is_split()));
        Ok(())
    })
}

/// Reads the parameters, whole, into `len` numbers at `masters`. Of the tensors, only the parameters are looked at.
///
/// Errors: `STATE` if there are no lower halves, `FORMAT`, `NULL`, `ALIGNMENT`, `LENGTH`, `OVERLAP`, `VALUE`, `NAME`, `TEXT`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; there are `count` tensors, whose memory is theirs as for `lanestep_step`; `len`
/// numbers can be written to `masters`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_masters(
    optimizer: *const LanestepOptimizer,
    tensors: *const LanestepTensor,
    count: usize,
    masters: *mut f32,
    len: usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let raw = unsafe { raw(tensors, count) }?;
        let bytes = crate::input::extent("masters", masters, len)?;
        let region = Region::new(masters, bytes, true, Whose::Masters);
        // SAFETY: the caller's word.
        let tensors = unsafe { LanestepTensor::all(&raw, Use::Params, Some(region)) }?;
        // SAFETY: the caller's word, and apart from the tensors.
        let masters = unsafe { slice_mut("masters", masters, len) }?;
        Ok(optimizer.inner.masters(&tensors, masters)?)
    })
}

/// Begins with these parameters: their upper halves go to the tensors, and their lower ones are kept.
///
/// Errors: as `lanestep_masters`, and `STATE` if the parameters are in the place of their average.
///
/// # Safety
/// `optimizer` is of this library and was not freed; there are `len` numbers at `masters` and `count` tensors, whose memory is theirs
/// as for `lanestep_step`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_masters(
    optimizer: *mut LanestepOptimizer,
    masters: *const f32,
    len: usize,
    tensors: *const LanestepTensor,
    count: usize,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        // SAFETY: the caller's word.
        let raw = unsafe { raw(tensors, count) }?;
        let bytes = crate::input::extent("masters", masters, len)?;
        let region = Region::new(masters, bytes, false, Whose::Masters);
        // SAFETY: the caller's word.
        let mut tensors = unsafe { LanestepTensor::all(&raw, Use::Params, Some(region)) }?;
        // SAFETY: the caller's word, and apart from the tensors.
        let masters = unsafe { slice("masters", masters, len) }?;
        Ok(optimizer.inner.set_masters(masters, &mut tensors)?)
    })
}
