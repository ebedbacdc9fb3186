//! What a caller in Rust has at hand.

use lanestep_capi::*;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

/// An optimizer that is freed.
#[derive(Debug)]
pub(crate) struct Handle(pub(crate) *mut LanestepOptimizer);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it is of the library, and nobody has it any more.
        unsafe { lanestep_free(self.0) };
    }
}

impl Handle {
    pub(crate) fn new(rule: &str, len: usize) -> Result<Self, LanestepStatus> {
        let (rule, mut out) = (CString::new(rule).unwrap(), null_mut());
        // SAFETY: both pointers are of this function.
        ok(unsafe { lanestep_new(rule.as_ptr(), len, &mut out) }).map(|()| Self(out))
    }

    pub(crate) fn with(groups: &str, layout: &str) -> Result<Self, LanestepStatus> {
        let (groups, layout) = (CString::new(groups).unwrap(), CString::new(layout).unwrap());
        let mut out = null_mut();
        // SAFETY: all pointers are of this function.
        ok(unsafe { lanestep_new_with(groups.as_ptr(), layout.as_ptr(), &mut out) }).map(|()| Self(out))
    }

    /// The tensors are the caller's to vouch for.
    pub(crate) fn step(
        &self,
        tensors: &[LanestepTensor],
        pipeline: Option<LanestepPipeline>,
    ) -> Result<LanestepReport, LanestepStatus> {
        let mut report = LanestepReport::default();
        let pipeline = pipeline.as_ref().map_or(null(), std::ptr::from_ref);
        // SAFETY: the tests hand over their own memory, or what is found to be wrong before it is touched.
        let status = unsafe { lanestep_step(self.0, tensors.as_ptr(), tensors.len(), pipeline, &mut report) };
        ok(status).map(|()| report)
    }

    pub(crate) fn steps(&self) -> u64 {
        let mut steps = 0;
        // SAFETY: both pointers are whole.
        ok(unsafe { lanestep_steps(self.0, &mut steps) }).unwrap();
        steps
    }

    pub(crate) fn lr(&self) -> f64 {
        let mut lr = 0.0;
        // SAFETY: both pointers are whole.
        ok(unsafe { lanestep_lr(self.0, &mut lr) }).unwrap();
        lr
    }

    /// What a function tells in JSON.
    pub(crate) fn json(
        &self,
        tell: unsafe extern "C" fn(*const LanestepOptimizer, *mut *mut c_char) -> LanestepStatus,
    ) -> serde_json::Value {
        // SAFETY: both pointers are whole.
        json(|out| unsafe { tell(self.0, out) })
    }
}

/// The JSON that a call hands out.
pub(crate) fn json(call: impl FnOnce(*mut *mut c_char) -> LanestepStatus) -> serde_json::Value {
    serde_json::from_str(&text(call)).unwrap()
}

/// The text that a call hands out.
pub(crate) fn text(call: impl FnOnce(*mut *mut c_char) -> LanestepStatus) -> String {
    let mut out = null_mut();
    ok(call(&mut out)).unwrap();
    // SAFETY: the call has put a text there.
    let text = unsafe { CStr::from_ptr(out) }.to_str().unwrap().to_owned();
    // SAFETY: nobody has it any more.
    unsafe { lanestep_text_free(out) };
    text
}

pub(crate) fn ok(status: LanestepStatus) -> Result<(), LanestepStatus> {
    if status == LanestepStatus::Ok { Ok(()) } else { Err(status) }
}

/// What the last error on this thread says.
pub(crate) fn message() -> String {
    // SAFETY: it is valid until the next error.
    unsafe { CStr::from_ptr(lanestep_last_error()) }.to_str().unwrap().to_owned()
}

/// A tensor of `f32`.
pub(crate) fn tensor(params: *mut f32, grads: *mut f32, len: usize) -> LanestepTensor {
    LanestepTensor {
        params: params.cast(),
        grads: grads.cast(),
        mirror: null_mut(),
        name: null(),
        len,
        params_format: 0,
        grads_format: 0,
        mirror_format: 0,
        zero_grads: 0,
    }
}
