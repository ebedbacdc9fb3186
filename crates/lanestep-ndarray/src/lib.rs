#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod order;

pub use error::Error;

use lanestep::{Element, Tensor};
use ndarray::{ArrayView, ArrayViewMut, Dimension};

/// Parameters and their gradients, of the same shape and strides.
///
/// # Errors
/// [`Error::Shape`] and [`Error::Strides`] if they lie in different ways, [`Error::Holes`] if either is not contiguous.
pub fn tensor<'a, P: Element, G: Element, D: Dimension>(
    params: ArrayViewMut<'a, P, D>,
    grads: ArrayView<'a, G, D>,
) -> Result<Tensor<'a>, Error> {
    order::check_alike(&params, &grads)?;
    Ok(Tensor::new(order::written("parameters", params)?, order::read("gradients", grads)?))
}

/// The same with gradients that the step sets to zero when it has read them, for the next to be added up.
///
/// # Errors
/// As [`tensor`].
pub fn zeroing<'a, P: Element, G: Element, D: Dimension>(
    params: ArrayViewMut<'a, P, D>,
    grads: ArrayViewMut<'a, G, D>,
) -> Result<Tensor<'a>, Error> {
    order::check_alike(&params, &grads.view())?;
    Ok(Tensor::zeroing(order::written("parameters", params)?, order::written("gradients", grads)?))
}

/// Parameters alone, as where an average of the weights is [swapped](lanestep::Optimizer::swap_ema) in; a step leaves them alone.
///
/// # Errors
/// [`Error::Holes`] if they are not contiguous.
pub fn alone<P: Element, D: Dimension>(params: ArrayViewMut<'_, P, D>) -> Result<Tensor<'_>, Error> {
    order::written("parameters", params).map(Tensor::of)
}

/// As many parameters as gradients: the first with the first, and so on.
///
/// # Errors
/// [`Error::Count`] if there are not as many, [`Error::At`] with what [`tensor`] says of the pair at an index.
pub fn tensors<'a, P: Element, G: Element, D: Dimension>(
    params: impl IntoIterator<Item = ArrayViewMut<'a, P, D>>,
    grads: impl IntoIterator<Item = ArrayView<'a, G, D>>,
) -> Result<Vec<Tensor<'a>>, Error> {
    let (mut params, mut grads) = (params.into_iter().fuse(), grads.into_iter().fuse());
    let mut all = Vec::new();
    loop {
        let index = all.len();
        match (params.next(), grads.next()) {
            (Some(params), Some(grads)) => {
                let pair = tensor(params, grads);
                all.push(pair.map_err(|source| Error::At { index, source: Box::new(source) })?);
            }
            (None, None) => return Ok(all),
            (param, grad) => {
                return Err(Error::Count {
                    params: index + usize::from(param.is_some()) + params.count(),
                    grads: index + usize::from(grad.is_some()) + grads.count(),
                });
            }
        }
    }
}
