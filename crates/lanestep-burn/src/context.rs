//! What a tensor is beside its numbers.

use burn::module::ParamId;
use burn::tensor::{DType, Device, GradientCheckpointingStrategy, Tensor, TensorData};

/// Where a parameter lies, and what it is to the graph of gradients.
pub(crate) struct Context {
    device: Device,
    dtype: DType,
    /// Of a tensor that takes part in a graph.
    strategy: Option<GradientCheckpointingStrategy>,
    require_grad: bool,
    distributed: bool,
}

impl Context {
    /// A tensor without its graph, and what to make of it again.
    pub(crate) fn split<const D: usize>(tensor: Tensor<D>) -> (Self, Tensor<D>) {
        let strategy = tensor.gradient_checkpointing_strategy();
        let require_grad = tensor.is_require_grad();
        // burn panics if it is asked outside of a graph.
        let distributed = strategy.is_some() && tensor.is_distributed();
        let tensor = tensor.inner();
        (Self { device: tensor.device(), dtype: tensor.dtype(), strategy, require_grad, distributed }, tensor)
    }

    /// A tensor of nothing.
    pub(crate) fn hole<const D: usize>(&self) -> Tensor<D> {
        Tensor::empty([0; D], &self.device)
    }

    /// A tensor of these numbers.
    pub(crate) fn join<const D: usize>(self, id: ParamId, numbers: TensorData) -> Tensor<D> {
        let tensor = Tensor::from_data(numbers, (&self.device, self.dtype));
        let Some(strategy) = self.strategy else { return tensor };
        let tensor = Tensor::from_inner(tensor).with_gradient_checkpointing_strategy(strategy);
        let tensor = tensor.set_require_grad(self.require_grad);
        if self.distributed { tensor.set_distributed(id) } else { tensor }
    }
}
