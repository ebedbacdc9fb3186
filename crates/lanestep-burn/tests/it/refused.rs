//! What is wrong with a call comes back with the module, and nothing has changed.

use crate::model::{Net, One, addresses, assert_bits, device, params};
use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use lanestep::{AdamW, NonFinite, Pipeline};
use lanestep_burn::{Error, ModuleOptimizer};

/// Steps, and expects to get the module back as it was.
#[track_caller]
fn refused<M: Module>(
    optimizer: &mut ModuleOptimizer<AdamW>,
    lr: f64,
    module: M,
    grads: GradientsParams,
) -> Error {
    let (before, places) = (params(&module), addresses(&module));
    let pipeline = Pipeline { non_finite: NonFinite::Error, ..Pipeline::default() };
    let refused = optimizer.step_with(lr, module, grads, &pipeline).unwrap_err();
    assert_bits(&params(&refused.module), &before);
    assert_eq!(addresses(&refused.module), places);
    assert_eq!(optimizer.inner.steps(), 0);
    assert!(optimizer.inner.state("exp_avg").unwrap().iter().all(|m| *m == 0.0));
    assert_eq!(format!("{refused}"), format!("{}", refused.error));
    refused.error
}

fn ones<const D: usize>(sizes: [usize; D]) -> Tensor<D> {
    Tensor::ones(sizes, &Device::flex())
}

fn optimizer<M: Module>(module: &M) -> ModuleOptimizer<AdamW> {
    ModuleOptimizer::new(AdamW::default(), module).unwrap()
}

#[test]
fn another_module() {
    let net = Net::new();
    let one = One::new(Tensor::ones([2, 3], &device()));
    let given = net.grads();
    let error = refused(&mut optimizer(&one), 1e-3, net.clone(), given);
    assert!(matches!(error, Error::Unknown { path } if path == "first.weight"));
    let error = refused(&mut optimizer(&one), 1e-3, net.clone(), GradientsParams::new());
    assert!(matches!(error, Error::Missing { path } if path == "weight"));
    let other = One::new(Tensor::ones([3, 3], &device()));
    let given = other.grads(ones([3, 3]));
    let error = refused(&mut optimizer(&one), 1e-3, other, given);
    assert!(matches!(error, Error::Lanestep(lanestep::Error::TensorLength { expected: 6, found: 9, .. })));
}

#[test]
fn what_was_frozen_when_the_layout_was_made() {
    let net = Net::new();
    params(&net); // which initializes it: what is lazy does not tell whether it is frozen
    let frozen = Net { first: net.first.clone().no_grad(), ..net.clone() };
    let given = net.grads();
    let error = refused(&mut optimizer(&frozen), 1e-3, net, given);
    assert!(matches!(error, Error::Unknown { path } if path == "first.weight"));
}

#[test]
fn other_gradients() {
    let one = One::new(Tensor::ones([2, 3], &device()));
    let mut optimizer = optimizer(&one);
    let given = one.grads(ones([3, 2]));
    let error = refused(&mut optimizer, 1e-3, one.clone(), given);
    let message = "gradient of \"weight\" has the shape [3, 2], but must have [2, 3]";
    assert_eq!(error.to_string(), message);
    let given = one.grads(ones([2, 3]).cast(DType::F64));
    let error = refused(&mut optimizer, 1e-3, one.clone(), given);
    let message = "gradient of \"weight\" has the type F64, but must have one of [F32, BF16, F16]";
    assert_eq!(error.to_string(), message);
    let given = one.grads(ones([2, 3]) / 0.0);
    let error = refused(&mut optimizer, 1e-3, one, given);
    let Error::Lanestep(lanestep::Error::NonFinite { count: 6, first: 0, tensor }) = error else {
        panic!("{error}")
    };
    assert_eq!(tensor.as_deref(), Some("weight"));
}

#[test]
fn a_learning_rate() {
    let one = One::new(Tensor::ones([2, 3], &device()));
    let given = one.grads(ones([2, 3]));
    let error = refused(&mut optimizer(&one), f64::NAN, one, given);
    assert!(matches!(error, Error::Lanestep(lanestep::Error::Hyperparameter { name: "lr", .. })));
}

#[test]
fn parameters_of_another_type() {
    let one = One::new(Tensor::<2>::ones([2, 3], &Device::flex()).cast(DType::F64).autodiff());
    let given = one.grads(ones([2, 3]));
    let refused = optimizer(&one).step(1e-3, one, given).unwrap_err();
    assert!(matches!(refused.error, Error::DType { found: DType::F64, .. }));
    assert_eq!(refused.module.weight.dtype(), DType::F64);
}

#[derive(Module, Debug)]
struct Two {
    first: Param<Tensor<2>>,
    second: Param<Tensor<2>>,
}

#[test]
fn one_parameter_of_two_shapes() {
    let first = Param::from_tensor(Tensor::<2>::ones([2, 3], &device()));
    let second = Param::initialized(first.id, Tensor::<2>::ones([3, 2], &device()).require_grad());
    let two = Two { first, second };
    let error = refused(&mut optimizer(&two), 1e-3, two, GradientsParams::new());
    assert_eq!(error.to_string(), "second place of \"second\" has the shape [3, 2], but must have [2, 3]");
}

#[test]
fn what_stands_twice_is_one_still() {
    let first = Param::from_tensor(Tensor::<2>::ones([2, 3], &device()));
    let two = Two { second: first.clone(), first };
    let mut given = GradientsParams::new();
    given.register(two.first.id, ones([2, 3]) / 0.0);
    let pipeline = Pipeline { non_finite: NonFinite::Error, ..Pipeline::default() };
    let refused = optimizer(&two).step_with(1e-3, two, given, &pipeline).unwrap_err();
    let [first, second] = addresses(&refused.module)[..] else { panic!("two") };
    assert_eq!(first, second);
    let Two { first, second } = &refused.module;
    let grads = (first.val() * second.val() * 3.0).sum().backward();
    // Both places are one leaf: its gradient has both parts.
    assert_eq!(first.grad(&grads).unwrap().into_data(), (ones([2, 3]) * 6.0).into_data());
}
