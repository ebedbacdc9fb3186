//! What a module is beside its numbers, and stays.

use crate::model::{Net, One, addresses, assert_bits, device, params};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Distribution, Tensor, bf16, f16};
use lanestep::{AdamW, Optimizer, Sgd};
use lanestep_burn::{ModuleOptimizer, layout};

fn random<const D: usize>(sizes: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(sizes, Distribution::Uniform(-1.0, 1.0), device)
}

#[test]
fn a_clone_keeps_its_numbers() {
    let net = Net::new();
    let (kept, before) = (net.clone(), params(&net));
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &net).unwrap();
    let given = net.grads();
    let stepped = optimizer.step(1e-2, net, given).unwrap();
    assert_bits(&params(&kept), &before);
    assert_ne!(params(&stepped), before);
    // The clone is apart from it now.
    let places = addresses(&stepped);
    let given = stepped.grads();
    let stepped = optimizer.step(1e-2, stepped, given).unwrap();
    assert_eq!(addresses(&stepped), places);
    assert_bits(&params(&kept), &before);
}

#[test]
fn strides_are_followed() {
    let device = device();
    let one = One::new(random([3, 5], &device).inner().transpose().autodiff());
    let grad = random([3, 5], &Device::flex()).transpose();
    let mut flat = params(&one);
    let flat_grad = grad.to_data().try_to_vec::<f32>().unwrap();
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &one).unwrap();
    let grads = one.grads(grad);
    let one = optimizer.step(1e-2, one, grads).unwrap();
    let rule = AdamW { lr: 1e-2, ..AdamW::default() };
    Optimizer::new(rule, 15).unwrap().step(&mut flat, &flat_grad).unwrap();
    assert_eq!(one.weight.dims(), [5, 3]);
    assert_bits(&params(&one), &flat);
}

#[test]
fn without_a_gradient_nothing_changes() {
    let net = Net::new();
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &net).unwrap();
    let mut given = net.grads();
    given.remove::<2>(net.second.weight.id).unwrap();
    let before = net.second.weight.to_data();
    let net = optimizer.step(1e-2, net, given).unwrap();
    assert_eq!(net.second.weight.to_data(), before);
    assert!(net.second.weight.is_require_grad());
    let range = optimizer.inner.layout().range("second.weight").unwrap();
    assert!(optimizer.inner.state("exp_avg").unwrap()[range.clone()].iter().all(|m| *m == 0.0));
    // Its turn may come later.
    let given = net.grads();
    let net = optimizer.step(1e-2, net, given).unwrap();
    assert_ne!(net.second.weight.to_data(), before);
}

#[test]
fn what_is_frozen_takes_no_state_and_stays_so() {
    let net = Net::new();
    params(&net); // which initializes it
    let frozen = net.first.clone().no_grad();
    let net = Net { first: frozen, ..net };
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &net).unwrap();
    assert_eq!(optimizer.inner.len(), 64 * 8 + 8);
    let (before, places) = (params(&net.first), addresses(&net.first));
    let given = net.grads();
    let net = optimizer.step(1e-2, net, given).unwrap();
    assert_bits(&params(&net.first), &before);
    assert_eq!(addresses(&net.first), places);
    for net in [net.valid().train(), net] {
        assert!(!net.first.weight.is_require_grad() && net.second.weight.is_require_grad());
    }
}

#[test]
fn what_belongs_to_a_parameter_stays() {
    let device = device().gradient_checkpointing();
    let mut one = One::new(random([2, 2], &device));
    one.weight = one.weight.save_mapper(|tensor| tensor * 2.0).load_mapper(|tensor| tensor / 2.0);
    let id = one.weight.id;
    let strategy = one.weight.gradient_checkpointing_strategy();
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &one).unwrap();
    for _ in 0..2 {
        let loss = one.weight.val().matmul(random([2, 2], &device)).powf_scalar(2.0).sum();
        let given = GradientsParams::from_grads(loss.backward(), &one);
        one = optimizer.step(1e-2, one, given).unwrap();
    }
    assert_eq!(one.weight.id, id);
    assert!(one.weight.is_require_grad());
    assert_eq!(one.weight.gradient_checkpointing_strategy(), strategy);
    assert_ne!(strategy, crate::model::device().gradient_checkpointing_strategy());
    let saved = one.weight.transform_for_save().val().to_data();
    assert_eq!(saved, (one.weight.val() * 2.0).to_data());
}

#[test]
fn a_layout_initializes_nothing() {
    let net = Net::new();
    layout(&net).unwrap();
    assert!(!net.first.weight.is_initialized());
    // Also where one part is never used.
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &net).unwrap();
    let loss = net.first.forward(random([1, 64], &device())).sum();
    let given = GradientsParams::from_grads(loss.backward(), &net.first); // of the rest, it would ask
    assert!(!net.second.weight.is_initialized());
    let net = optimizer.step(1e-2, net, given).unwrap();
    let spread = net.second.weight.val().inner().abs().max().into_scalar::<f32>();
    assert!(spread > 0.0 && spread <= 0.125 && net.second.weight.is_require_grad());
}

#[test]
fn a_module_without_autodiff() {
    let one = One::new(random([2, 3], &Device::flex()));
    let mut flat = params(&one);
    let mut optimizer = ModuleOptimizer::new(Sgd::default(), &one).unwrap();
    let given = one.grads(Tensor::ones([2, 3], &Device::flex()));
    let one = optimizer.step(1e-1, one, given).unwrap();
    Optimizer::new(Sgd { lr: 1e-1, ..Sgd::default() }, 6).unwrap().step(&mut flat, &[1.0; 6]).unwrap();
    assert_bits(&params(&one), &flat);
    assert!(!one.weight.is_autodiff() && one.train().weight.is_require_grad());
}

/// Weights that are used twice.
#[derive(Module, Debug)]
struct Tied {
    embed: Param<Tensor<2>>,
    layer: Linear,
    head: Param<Tensor<2>>,
}

impl Tied {
    fn new() -> Self {
        let device = device();
        let embed = Param::from_tensor(random([8, 8], &device));
        Self { head: embed.clone(), layer: LinearConfig::new(8, 8).init(&device), embed }
    }

    fn grads(&self) -> GradientsParams {
        let input = random([4, 8], &device());
        let loss = self.layer.forward(input.matmul(self.embed.val())).matmul(self.head.val());
        GradientsParams::from_grads(loss.powf_scalar(2.0).mean().backward(), self)
    }
}

#[test]
fn what_stands_twice_is_one() {
    let mut tied = Tied::new();
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &tied).unwrap();
    let names: Vec<_> = optimizer.inner.layout().iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["embed", "layer.weight", "layer.bias"]);
    let mut flat = tied.embed.val().inner().into_data().try_to_vec::<f32>().unwrap();
    let mut one = Optimizer::new(AdamW { lr: 1e-2, ..AdamW::default() }, 64).unwrap();
    let mut places = None;
    for _ in 0..3 {
        let given = tied.grads();
        assert_eq!(given.len(), 3);
        let grad = given.get::<2>(tied.embed.id).unwrap().into_data().try_to_vec::<f32>().unwrap();
        one.step(&mut flat, &grad).unwrap();
        tied = optimizer.step(1e-2, tied, given).unwrap();
        let [embed, layer_weight, layer_bias, head] = addresses(&tied)[..] else { panic!("four") };
        assert_eq!(embed, head);
        assert_eq!(
            *places.get_or_insert([embed, layer_weight, layer_bias]),
            [embed, layer_weight, layer_bias]
        );
        assert_bits(&tied.head.val().inner().into_data().try_to_vec::<f32>().unwrap(), &flat);
    }
}

/// Which the README tells as a difference.
#[test]
fn burn_steps_its_first_place_alone() {
    let tied = Tied::new();
    let before = tied.head.to_data();
    let given = tied.grads();
    let tied = burn::optim::AdamWConfig::new().init().step(1e-2, tied, given);
    assert_eq!(tied.head.to_data(), before);
    assert_ne!(tied.embed.to_data(), before);
}

#[test]
fn sixteen_bits() {
    for dtype in [DType::BF16, DType::F16] {
        for grad_dtype in [DType::F32, dtype] {
            let numbers = random([4, 5], &device()).inner().cast(dtype);
            let one = One::new(numbers.autodiff());
            let places = addresses_of_any(&one);
            let grad = random([4, 5], &Device::flex()).cast(grad_dtype);
            let widened =
                |tensor: Tensor<2>| tensor.cast(DType::F32).into_data().try_to_vec::<f32>().unwrap();
            let (mut exact, flat_grad) = (widened(one.weight.val().inner()), widened(grad.clone()));
            let mut optimizer = ModuleOptimizer::new(AdamW::default(), &one).unwrap();
            let given = one.grads(grad);
            let one = optimizer.step(1e-1, one, given).unwrap();
            let rule = AdamW { lr: 1e-1, ..AdamW::default() };
            Optimizer::new(rule, 20).unwrap().step(&mut exact, &flat_grad).unwrap();
            let rounded: Vec<f32> = exact
                .iter()
                .map(|x| {
                    if dtype == DType::BF16 {
                        bf16::from_f32(*x).to_f32()
                    } else {
                        f16::from_f32(*x).to_f32()
                    }
                })
                .collect();
            assert_eq!(one.weight.dtype(), dtype);
            assert_eq!(addresses_of_any(&one), places);
            assert_bits(&widened(one.weight.val().inner()), &rounded);
        }
    }
}

fn addresses_of_any(one: &One) -> usize {
    let primitive = one.weight.val().inner().try_into_primitive::<burn::backend::Flex>().unwrap();
    primitive.bytes().as_ptr().addr()
}
