//! A module to step, and what is in it.

use burn::backend::Flex;
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor, TensorData, activation::relu};

#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) first: Linear,
    pub(crate) second: Linear,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self::on(&device())
    }

    pub(crate) fn on(device: &Device) -> Self {
        Self { first: LinearConfig::new(64, 64).init(device), second: LinearConfig::new(64, 8).init(device) }
    }

    pub(crate) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.second.forward(relu(self.first.forward(input)))
    }

    /// Of a loss over random input.
    pub(crate) fn grads(&self) -> GradientsParams {
        let input = Tensor::random([16, 64], Distribution::Default, &self.first.weight.device());
        let loss = self.forward(input).powf_scalar(2.0).mean();
        GradientsParams::from_grads(loss.backward(), self)
    }
}

pub(crate) fn device() -> Device {
    Device::flex().autodiff()
}

/// All parameters of a module, end to end.
pub(crate) fn params<M: Module>(module: &M) -> Vec<f32> {
    Each::of(module, |data, _| data.try_to_vec::<f32>().unwrap()).concat()
}

/// The gradients of all of them.
pub(crate) fn grads<M: Module>(module: &M, grads: &GradientsParams) -> Vec<f32> {
    struct Grads<'a>(&'a GradientsParams, Vec<f32>);
    impl ModuleVisitor for Grads<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.extend(self.0.get::<D>(param.id).unwrap().into_data().try_to_vec::<f32>().unwrap());
        }
    }
    let mut all = Grads(grads, vec![]);
    module.visit(&mut all);
    all.1
}

/// Where each parameter lies in memory.
pub(crate) fn addresses<M: Module>(module: &M) -> Vec<usize> {
    Each::of(module, |_, address| address)
}

struct Each<T, F: FnMut(TensorData, usize) -> T>(F, Vec<T>);

impl<T, F: FnMut(TensorData, usize) -> T> Each<T, F> {
    fn of<M: Module>(module: &M, f: F) -> Vec<T> {
        let mut each = Self(f, vec![]);
        module.visit(&mut each);
        each.1
    }
}

impl<T, F: FnMut(TensorData, usize) -> T> ModuleVisitor for Each<T, F> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val().inner();
        let primitive = tensor.clone().try_into_primitive::<Flex>().unwrap();
        self.1.push((self.0)(tensor.into_data(), primitive.bytes().as_ptr().addr()));
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// A parameter alone.
#[derive(Module, Debug)]
pub(crate) struct One {
    pub(crate) weight: Param<Tensor<2>>,
}

impl One {
    pub(crate) fn new(weight: Tensor<2>) -> Self {
        Self { weight: Param::from_tensor(weight) }
    }

    pub(crate) fn grads(&self, grad: Tensor<2>) -> GradientsParams {
        let mut grads = GradientsParams::new();
        grads.register(self.weight.id, grad);
        grads
    }
}

#[track_caller]
pub(crate) fn assert_bits(found: &[f32], expected: &[f32]) {
    assert_eq!(bits(found), bits(expected));
}

/// The same gradients once more.
pub(crate) fn copy<M: Module>(module: &M, grads: &GradientsParams) -> GradientsParams {
    struct Copy<'a>(&'a GradientsParams, GradientsParams);
    impl ModuleVisitor for Copy<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.0.get::<D>(param.id) {
                self.1.register(param.id, grad);
            }
        }
    }
    let mut copy = Copy(grads, GradientsParams::new());
    module.visit(&mut copy);
    copy.1
}
