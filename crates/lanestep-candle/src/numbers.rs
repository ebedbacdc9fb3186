//! What candle keeps, as slices.

use candle_core::{CpuStorage, Device, DeviceLocation, Error, Layout, Result, Storage, Tensor};
use half::{bf16, f16};

/// What candle's errors say the operation is.
pub(crate) const OP: &str = "lanestep";

/// The numbers of a tensor.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    F16(&'a [f16]),
}

impl<'a> Numbers<'a> {
    pub(crate) fn of(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        let Storage::Cpu(cpu) = storage else { return Err(not_here(&storage.device())) };
        let (start, end) = layout.contiguous_offsets().ok_or(Error::RequiresContiguous { op: OP })?;
        match cpu {
            CpuStorage::F32(numbers) => Ok(Self::F32(&numbers[start..end])),
            CpuStorage::BF16(numbers) => Ok(Self::Bf16(&numbers[start..end])),
            CpuStorage::F16(numbers) => Ok(Self::F16(&numbers[start..end])),
            _ => Err(Error::UnsupportedDTypeForOp(storage.dtype(), OP)),
        }
    }
}

/// What is to be on the CPU, and is not.
pub(crate) fn not_here(device: &Device) -> Error {
    Error::DeviceMismatchBinaryOp { lhs: DeviceLocation::Cpu, rhs: device.location(), op: OP }
}

/// The same of all tensors that share memory, and of no others that there are.
pub(crate) fn place(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    core::ptr::from_ref(&*storage).addr()
}
