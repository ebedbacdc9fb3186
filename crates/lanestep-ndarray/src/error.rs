//! What views can be to be no tensor.

/// Why views are no [`Tensor`](lanestep::Tensor).
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Parameters and gradients have different shapes.
    #[error("parameters have the shape {params:?}, but gradients {grads:?}")]
    Shape {
        /// The shape of the parameters.
        params: Vec<usize>,
        /// The shape of the gradients.
        grads: Vec<usize>,
    },
    /// Parameters and gradients have the same shape, but lie in memory in different orders.
    #[error(
        "parameters lie in strides of {params:?}, but gradients of {grads:?}: bring these in the order of those"
    )]
    Strides {
        /// The strides of the parameters, in elements.
        params: Vec<isize>,
        /// The strides of the gradients, in elements.
        grads: Vec<isize>,
    },
    /// A view is not contiguous: between its lowest and its highest element are others, or some are the same.
    #[error("{of} of shape {shape:?} in strides of {strides:?} are not contiguous")]
    Holes {
        /// Whether these are parameters or gradients.
        of: &'static str,
        /// The shape of the view.
        shape: Vec<usize>,
        /// The strides of the view, in elements.
        strides: Vec<isize>,
    },
    /// There are not as many gradients as parameters.
    #[error("there are {params} arrays of parameters, but {grads} of gradients")]
    Count {
        /// How many views of parameters there are.
        params: usize,
        /// How many views of gradients there are.
        grads: usize,
    },
    /// A pair in a list is no tensor.
    #[error("arrays at index {index}: {source}")]
    At {
        /// The index of the pair, from zero.
        index: usize,
        /// What is wrong with it.
        source: Box<Self>,
    },
}
