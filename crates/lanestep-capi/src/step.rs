//! One step.

use crate::handle::LanestepOptimizer;
use crate::input::{Out, slice};
use crate::status::{Failure, LanestepStatus, enter};
use crate::tensor::{LanestepTensor, Use};
use lanestep::{NonFinite, Pipeline, Report};

/// What to do if there are gradients that are not finite once they are scaled.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanestepNonFinite {
    /// Go on.
    Propagate = 0,
    /// Leave all as it is, but for gradients that are to be zero, and report it.
    Skip = 1,
    /// Leave all as it is, and say `NON_FINITE`.
    Error = 2,
}

/// What is done to the gradients of a step on their way in, in this order: they are multiplied by `scale`, by what brings their norm
/// down to `max_norm`, and clamped to `clip_value`. `lanestep_pipeline` makes one that does nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LanestepPipeline {
    /// The inverse of a loss scale or of a number of micro-batches, in `[0, FLT_MAX]`: 1 for nothing.
    pub scale: f64,
    /// The largest norm of all gradients together, in `[0, FLT_MAX]`.
    pub max_norm: f64,
    /// The largest magnitude of a gradient, in `[0, FLT_MAX]`.
    pub clip_value: f64,
    /// The least parameter that stays after the update.
    pub min_param: f64,
    /// The largest.
    pub max_param: f64,
    /// Not 0: `max_norm` is meant, or else it is not looked at.
    pub has_max_norm: i32,
    /// The same of `clip_value`.
    pub has_clip_value: i32,
    /// The same of `min_param`.
    pub has_min_param: i32,
    /// The same of `max_param`.
    pub has_max_param: i32,
    /// A `LanestepNonFinite`.
    pub non_finite: i32,
    /// Not 0: report on the gradients, even if nothing above needs to know them.
    pub measure_grads: i32,
    /// Not 0: report how far the parameters have moved.
    pub measure_update: i32,
}

/// What a step has found and done.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LanestepReport {
    /// The norm of the gradients, scaled and not yet clipped.
    pub norm: f64,
    /// The largest magnitude of one; NaN if one is NaN.
    pub max_abs: f64,
    /// What `max_norm` has multiplied them by; 1 if it has not.
    pub clip_factor: f64,
    /// The norm of the difference between the parameters after the step and before.
    pub update_norm: f64,
    /// The norm of the parameters after the step.
    pub params_norm: f64,
    /// How many gradients are not finite.
    pub non_finite: u64,
    /// The place of the first of them among all.
    pub first_non_finite: u64,
    /// 1 if `norm`, `max_abs` and `non_finite` were measured, else 0, as they are then.
    pub has_grads: i32,
    /// 1 if `update_norm` and `params_norm` were measured, else 0, as they are then.
    pub has_update: i32,
    /// 1 if there is a `first_non_finite`, else 0, as it is then.
    pub has_first_non_finite: i32,
    /// 1 if nothing was updated, because of gradients that are not finite, else 0.
    pub skipped: i32,
}

/// A pipeline that does nothing.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn lanestep_pipeline() -> LanestepPipeline {
    LanestepPipeline {
        scale: 1.0,
        max_norm: 0.0,
        clip_value: 0.0,
        min_param: 0.0,
        max_param: 0.0,
        has_max_norm: 0,
        has_clip_value: 0,
        has_min_param: 0,
        has_max_param: 0,
        non_finite: LanestepNonFinite::Propagate as i32,
        measure_grads: 0,
        measure_update: 0,
    }
}

impl LanestepPipeline {
    fn read(&self) -> Result<Pipeline, Failure> {
        let non_finite = match self.non_finite {
            0 => NonFinite::Propagate,
            1 => NonFinite::Skip,
            2 => NonFinite::Error,
            found => {
                let message = format!("{found} is no LanestepNonFinite");
                return Err(Failure::new(LanestepStatus::Value, message));
            }
        };
        Ok(Pipeline {
            scale: self.scale,
            max_norm: (self.has_max_norm != 0).then_some(self.max_norm),
            clip_value: (self.has_clip_value != 0).then_some(self.clip_value),
            non_finite,
            min_param: (self.has_min_param != 0).then_some(self.min_param),
            max_param: (self.has_max_param != 0).then_some(self.max_param),
            measure_grads: self.measure_grads != 0,
            measure_update: self.measure_update != 0,
        })
    }
}

impl From<Report> for LanestepReport {
    fn from(report: Report) -> Self {
        let mut all = Self {
            clip_factor: report.clip_factor,
            skipped: i32::from(report.skipped),
            has_grads: i32::from(report.grads.is_some()),
            has_update: i32::from(report.update.is_some()),
            ..Self::default()
        };
        if let Some(grads) = report.grads {
            (all.norm, all.max_abs, all.non_finite) = (grads.norm, grads.max_abs, grads.non_finite);
            all.has_first_non_finite = i32::from(grads.first_non_finite.is_some());
            all.first_non_finite = grads.first_non_finite.unwrap_or(0) as u64;
        }
        if let Some(update) = report.update {
            (all.update_norm, all.params_norm) = (update.norm, update.params_norm);
        }
        all
    }
}

/// The tensors of a call, copied: their array may then lie where parameters do.
///
/// # Safety
/// If it is neither null nor misaligned, there are `count` tensors at `tensors`.
pub(crate) unsafe fn raw(
    tensors: *const LanestepTensor,
    count: usize,
) -> Result<Vec<LanestepTensor>, Failure> {
    // SAFETY: the caller's word.
    unsafe { slice("tensors", tensors, count) }.map(<[LanestepTensor]>::to_vec)
}

/// One step over many tensors, which laid end to end are the parameters; if the optimizer was made from a layout with names, they
/// are its tensors, or one tensor of all. `pipeline` may be null, which is to do nothing; `report` too, which is not to tell.
///
/// The bits are those of one tensor for all; only rules that measure layers, as LAMB and LARS, take each for a layer.
///
/// Errors: `NULL`, `ALIGNMENT`, `LENGTH`, `OVERLAP`, `VALUE`, `NAME`, `TEXT`, `FORMAT`, `NON_FINITE`, `THREADS`, and `STATE` if
/// the parameters are in the place of their average. Nothing has been written then, and no gradient set to zero.
///
/// # Safety
/// `optimizer` is of this library and was not freed; there are `count` tensors; all their memory is theirs alone during the call: nobody
/// writes what it reads, nor reads what it writes. Their names end with a zero. `pipeline` is null or can be read, `report` is null
/// or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_step(
    optimizer: *mut LanestepOptimizer,
    tensors: *const LanestepTensor,
    count: usize,
    pipeline: *const LanestepPipeline,
    report: *mut LanestepReport,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::optional("report", report) }?;
        let pipeline = if pipeline.is_null() {
            Pipeline::default()
        } else {
            // SAFETY: the caller's word.
            unsafe { slice("pipeline", pipeline, 1) }?[0].read()?
        };
        // SAFETY: the caller's word.
        let raw = unsafe { raw(tensors, count) }?;
        // SAFETY: the caller's word.
        let mut tensors = unsafe { LanestepTensor::all(&raw, Use::Step, None) }?;
        let found = optimizer.in_pool(|optimizer| optimizer.step_with(&mut tensors, &pipeline))??;
        drop(tensors);
        out.into_iter().for_each(|out| out.put(found.into()));
        Ok(())
    })
}
