//! Tensors, which are the caller's memory.

use crate::format::format;
use crate::input::{extent, optional_text, slice, slice_mut};
use crate::overlap::{self, Region, Whose};
use crate::status::{Failure, LanestepStatus};
use half::{bf16, f16};
use lanestep::checkpoint::Params;
use lanestep::{Element, Format, Tensor};
use std::ffi::{c_char, c_void};

/// One tensor: contiguous, in host memory, `len` numbers of each kind. All zero but for `params`, `grads` and `len`, it is of
/// `float`, without a mirror and without a name, and its gradients are only read.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LanestepTensor {
    /// What is updated.
    pub params: *mut c_void,
    /// Null: there are none this time, and a step leaves the tensor alone. They are only read, unless `zero_grads` is set.
    pub grads: *mut c_void,
    /// Null: none. A copy of the parameters that a step writes, rounded to the nearest.
    pub mirror: *mut c_void,
    /// Null: none. Else it must be the name in the tensor's place of the layout.
    pub name: *const c_char,
    /// How many numbers.
    pub len: usize,
    /// A `LanestepFormat`, but not `BLOCK8`.
    pub params_format: i32,
    /// The same of the gradients.
    pub grads_format: i32,
    /// The same of the mirror.
    pub mirror_format: i32,
    /// Not 0: a step sets the gradients to zero in the same pass, also if it is skipped, but not if it fails.
    pub zero_grads: i32,
}

/// What a call does with tensors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// All that a step does.
    Step,
    /// Looks at nothing but the parameters.
    Params,
}

impl LanestepTensor {
    /// Tensors to read or write, none of which is also another's memory, nor `masters`' of the same call.
    ///
    /// # Safety
    /// During `'a`, all memory that `raw` speaks of can be read, and what is written, written, and nobody else writes it, nor reads
    /// what is written; its names end with a zero.
    pub(crate) unsafe fn all<'a>(
        raw: &[Self],
        how: Use,
        masters: Option<Region>,
    ) -> Result<Vec<Tensor<'a>>, Failure> {
        let mut regions = Vec::with_capacity(3 * raw.len() + 1);
        regions.extend(masters);
        for (index, tensor) in raw.iter().enumerate() {
            tensor.regions(index, how, &mut regions).map_err(|failure| failure.of_tensor(index))?;
        }
        let mut names = Vec::with_capacity(raw.len());
        for (index, tensor) in raw.iter().enumerate() {
            // SAFETY: the caller's word.
            let name = unsafe { optional_text("name", tensor.name) };
            let name = name.map_err(|failure| failure.of_tensor(index))?;
            regions.extend(
                name.map(|name| Region::new(name.as_ptr(), name.len() + 1, false, Whose::Name(index))),
            );
            names.push(name);
        }
        overlap::check(regions)?;
        let mut tensors = Vec::with_capacity(raw.len());
        for (index, (tensor, name)) in raw.iter().zip(names).enumerate() {
            // SAFETY: the caller's word, and what is written is apart from all else.
            let tensor = unsafe { tensor.tensor(how) }.map_err(|failure| failure.of_tensor(index))?;
            tensors.push(match name {
                Some(name) => tensor.named(name),
                None => tensor,
            });
        }
        Ok(tensors)
    }

    /// The parameters alone, to read.
    ///
    /// # Safety
    /// During `'a`, the parameters that `raw` speaks of can be read and nobody writes them; its names end with a zero.
    pub(crate) unsafe fn params<'a>(raw: &[Self]) -> Result<Vec<Params<'a>>, Failure> {
        let mut params = Vec::with_capacity(raw.len());
        for (index, tensor) in raw.iter().enumerate() {
            // SAFETY: the caller's word.
            let name = unsafe { optional_text("name", tensor.name) };
            let name = name.map_err(|failure| failure.of_tensor(index))?;
            let of = match element(tensor.params_format) {
                // SAFETY: the caller's word.
                Ok(Format::Bf16) => unsafe { tensor.source::<bf16>(name) },
                // SAFETY: the caller's word.
                Ok(Format::F16) => unsafe { tensor.source::<f16>(name) },
                // SAFETY: the caller's word.
                Ok(_) => unsafe { tensor.source::<f32>(name) },
                Err(failure) => Err(failure),
            };
            params.push(of.map_err(|failure| failure.of_tensor(index))?);
        }
        Ok(params)
    }

    /// # Safety
    /// As [`params`](Self::params).
    unsafe fn source<'a, P: Element>(&self, name: Option<&'a str>) -> Result<Params<'a>, Failure> {
        // SAFETY: the caller's word.
        let params = unsafe { slice::<P>("params", self.params.cast(), self.len) }?;
        Ok(name.map_or_else(|| Params::from(params), |name| Params::from((name, params))))
    }

    const fn is_idle(&self, how: Use) -> bool {
        matches!(how, Use::Params) || self.grads.is_null()
    }

    /// The memory that a call touches.
    fn regions(&self, index: usize, how: Use, regions: &mut Vec<Region>) -> Result<(), Failure> {
        let bytes = bytes("params", self.params_format, self.params, self.len)?;
        regions.push(Region::new(self.params, bytes, true, Whose::Params(index)));
        if !self.is_idle(how) {
            let bytes = self::bytes("grads", self.grads_format, self.grads, self.len)?;
            regions.push(Region::new(self.grads, bytes, self.zero_grads != 0, Whose::Grads(index)));
        }
        if how == Use::Step && !self.mirror.is_null() {
            let bytes = self::bytes("mirror", self.mirror_format, self.mirror, self.len)?;
            regions.push(Region::new(self.mirror, bytes, true, Whose::Mirror(index)));
        }
        Ok(())
    }

    /// # Safety
    /// As [`all`](Self::all), and what is written is apart from all else.
    unsafe fn tensor<'a>(&self, how: Use) -> Result<Tensor<'a>, Failure> {
        match element(self.params_format)? {
            // SAFETY: the caller's word.
            Format::Bf16 => unsafe { self.with_params::<bf16>(how) },
            // SAFETY: the caller's word.
            Format::F16 => unsafe { self.with_params::<f16>(how) },
            // SAFETY: the caller's word.
            _ => unsafe { self.with_params::<f32>(how) },
        }
    }

    /// # Safety
    /// As [`tensor`](Self::tensor).
    unsafe fn with_params<'a, P: Element>(&self, how: Use) -> Result<Tensor<'a>, Failure> {
        // SAFETY: the caller's word.
        let params = unsafe { slice_mut::<P>("params", self.params.cast(), self.len) }?;
        let tensor = if self.is_idle(how) {
            Tensor::of(params)
        } else {
            match element(self.grads_format)? {
                // SAFETY: the caller's word.
                Format::Bf16 => unsafe { self.with_grads::<P, bf16>(params) }?,
                // SAFETY: the caller's word.
                Format::F16 => unsafe { self.with_grads::<P, f16>(params) }?,
                // SAFETY: the caller's word.
                _ => unsafe { self.with_grads::<P, f32>(params) }?,
            }
        };
        if how == Use::Params || self.mirror.is_null() {
            return Ok(tensor);
        }
        match element(self.mirror_format)? {
            // SAFETY: the caller's word.
            Format::Bf16 => unsafe { self.with_mirror::<bf16>(tensor) },
            // SAFETY: the caller's word.
            Format::F16 => unsafe { self.with_mirror::<f16>(tensor) },
            // SAFETY: the caller's word.
            _ => unsafe { self.with_mirror::<f32>(tensor) },
        }
    }

    /// # Safety
    /// As [`tensor`](Self::tensor).
    unsafe fn with_grads<'a, P: Element, G: Element>(
        &self,
        params: &'a mut [P],
    ) -> Result<Tensor<'a>, Failure> {
        if self.zero_grads == 0 {
            // SAFETY: the caller's word.
            let grads = unsafe { slice::<G>("grads", self.grads.cast(), self.len) }?;
            Ok(Tensor::new(params, grads))
        } else {
            // SAFETY: the caller's word.
            let grads = unsafe { slice_mut::<G>("grads", self.grads.cast(), self.len) }?;
            Ok(Tensor::zeroing(params, grads))
        }
    }

    /// # Safety
    /// As [`tensor`](Self::tensor).
    unsafe fn with_mirror<'a, M: Element>(&self, tensor: Tensor<'a>) -> Result<Tensor<'a>, Failure> {
        // SAFETY: the caller's word.
        let mirror = unsafe { slice_mut::<M>("mirror", self.mirror.cast(), self.len) }?;
        Ok(tensor.mirrored(mirror))
    }
}

impl Failure {
    fn of_tensor(self, index: usize) -> Self {
        Self { message: format!("tensor {index}: {}", self.message), ..self }
    }
}

/// A format that elements have one by one.
fn element(found: i32) -> Result<Format, Failure> {
    match format(found)? {
        Format::Block8 => Err(Failure::new(LanestepStatus::Value, "BLOCK8 is for state alone")),
        format => Ok(format),
    }
}

/// How many there are of so many numbers.
fn bytes(what: &str, format: i32, pointer: *mut c_void, len: usize) -> Result<usize, Failure> {
    match element(format)? {
        Format::F32 => extent::<f32>(what, pointer.cast(), len),
        _ => extent::<u16>(what, pointer.cast(), len),
    }
}
