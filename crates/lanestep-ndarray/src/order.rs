//! Views as slices in the order of memory.

use crate::Error;
use ndarray::{ArrayView, ArrayViewMut, Dimension};

/// Whether the elements of both, taken in the order of their memory, are of the same places.
pub(crate) fn check_alike<P, G, D: Dimension>(
    params: &ArrayViewMut<'_, P, D>,
    grads: &ArrayView<'_, G, D>,
) -> Result<(), Error> {
    if params.shape() != grads.shape() {
        return Err(Error::Shape { params: params.shape().into(), grads: grads.shape().into() });
    }
    let mut axes = params.shape().iter().zip(params.strides().iter().zip(grads.strides()));
    if params.is_empty() || axes.all(|(&len, (params, grads))| len == 1 || params == grads) {
        return Ok(());
    }
    let (params, grads) = (params.strides().into(), grads.strides().into());
    Err(Error::Strides { params, grads })
}

pub(crate) fn written<'a, A, D: Dimension>(
    of: &'static str,
    view: ArrayViewMut<'a, A, D>,
) -> Result<&'a mut [A], Error> {
    if view.is_empty() {
        return Ok(&mut []);
    }
    if view.as_slice_memory_order().is_none() {
        return Err(holes(of, &view.view()));
    }
    Ok(view.into_slice_memory_order().unwrap_or_default())
}

pub(crate) fn read<'a, A, D: Dimension>(
    of: &'static str,
    view: ArrayView<'a, A, D>,
) -> Result<&'a [A], Error> {
    if view.is_empty() {
        return Ok(&[]);
    }
    view.to_slice_memory_order().ok_or_else(|| holes(of, &view))
}

fn holes<A, D: Dimension>(of: &'static str, view: &ArrayView<'_, A, D>) -> Error {
    Error::Holes { of, shape: view.shape().into(), strides: view.strides().into() }
}
