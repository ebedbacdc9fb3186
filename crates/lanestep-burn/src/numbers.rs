//! burn's data as lanestep's tensors.

use burn::tensor::{DType, DataError, Element, TensorData, bf16, f16};
use lanestep::Tensor;

/// Parameters with their gradients, if they have some.
pub(crate) fn tensor<'a>(
    params: &'a mut TensorData,
    grads: Option<&'a TensorData>,
) -> Result<Tensor<'a>, DataError> {
    match params.dtype() {
        DType::BF16 => of::<bf16>(params, grads),
        DType::F16 => of::<f16>(params, grads),
        _ => of::<f32>(params, grads),
    }
}

fn of<'a, P: Element + lanestep::Element>(
    params: &'a mut TensorData,
    grads: Option<&'a TensorData>,
) -> Result<Tensor<'a>, DataError> {
    let params = params.as_mut_slice::<P>()?;
    Ok(match grads.map(|grads| (grads, grads.dtype())) {
        None => Tensor::of(params),
        Some((grads, DType::BF16)) => Tensor::new(params, grads.as_slice::<bf16>()?),
        Some((grads, DType::F16)) => Tensor::new(params, grads.as_slice::<f16>()?),
        Some((grads, _)) => Tensor::new(params, grads.as_slice::<f32>()?),
    })
}
