//! burn's own optimizers, where the hyperparameters mean the same: the same numbers, but for rounding.

use crate::model::{Net, copy, params};
use burn::grad_clipping::GradientClipping;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdaGradConfig, AdamWConfig, RmsPropConfig, SgdConfig};
use lanestep::{Adagrad, AdamW, Pipeline, RmsProp, Rule, Sgd};
use lanestep_burn::{ModuleOptimizer, PerTensor};

type Burn = burn::optim::ModuleOptimizer;

const LR: f64 = 1e-2;

/// Both of ours beside burn's, for ten steps on the gradients of burn's module.
#[track_caller]
fn same(rule: impl Rule + 'static, pipeline: &Pipeline, mut burn: Burn) {
    let mut net = Net::new();
    let (mut whole, mut single) = (net.clone(), net.clone());
    let mut optimizer = ModuleOptimizer::new(rule.clone(), &net).unwrap();
    let mut per_tensor = Burn::from(PerTensor::new(rule).unwrap());
    if let Some(clip) = pipeline.clip_value {
        per_tensor = per_tensor.with_grad_clipping(GradientClipping::Value(clip as f32));
    }
    let start = params(&net);
    for _ in 0..10 {
        let given = net.grads();
        let (again, third) = (copy(&net, &given), copy(&net, &given));
        net = burn.step(LR, net, given);
        (whole, _) = optimizer.step_with(LR, whole, again, pipeline).unwrap();
        single = per_tensor.step(LR, single, third);
        let expected = params(&net);
        for found in [params(&whole), params(&single)] {
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let moved = (expected - start[place]).abs();
                assert!(
                    (found - expected).abs() <= 2e-6 + 1e-4 * moved,
                    "{place}: {found} is not {expected}"
                );
            }
        }
    }
    assert_ne!(params(&net), start);
}

#[test]
fn adamw() {
    let rule = AdamW { eps: 1e-5, weight_decay: 1e-4, ..AdamW::default() };
    same(rule, &Pipeline::default(), AdamWConfig::new().init());
    let rule = AdamW { betas: (0.8, 0.95), eps: 1e-4, weight_decay: 0.3, amsgrad: true, ..rule };
    let burn = AdamWConfig::new().with_beta_1(0.8).with_beta_2(0.95).with_epsilon(1e-4);
    let burn = burn.with_weight_decay(0.3).with_amsgrad(true);
    same(rule, &Pipeline::default(), burn.init());
}

#[test]
fn sgd() {
    same(Sgd::default(), &Pipeline::default(), SgdConfig::new().init());
    let rule = Sgd { momentum: 0.9, dampening: 0.1, weight_decay: 0.2, ..Sgd::default() };
    let momentum = MomentumConfig { momentum: 0.9, dampening: 0.1, nesterov: false };
    let burn = SgdConfig::new().with_weight_decay(Some(WeightDecayConfig { penalty: 0.2 }));
    same(rule, &Pipeline::default(), burn.with_momentum(Some(momentum)).init());
    let rule = Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() };
    let momentum = MomentumConfig { momentum: 0.9, dampening: 0.0, nesterov: true };
    same(rule, &Pipeline::default(), SgdConfig::new().with_momentum(Some(momentum)).init());
}

#[test]
fn rmsprop() {
    let rule = RmsProp { momentum: 0.9, eps: 1e-5, ..RmsProp::default() };
    same(rule, &Pipeline::default(), RmsPropConfig::new().init());
    // Where a sum with the decay cancels, a small `eps` would blow its rounding up.
    let rule = RmsProp { momentum: 0.0, weight_decay: 0.1, eps: 1e-3, ..rule };
    let burn = RmsPropConfig::new().with_momentum(0.0).with_epsilon(1e-3);
    let burn = burn.with_weight_decay(Some(WeightDecayConfig { penalty: 0.1 }));
    same(rule, &Pipeline::default(), burn.init());
}

#[test]
fn adagrad() {
    let rule = Adagrad { lr_decay: 0.1, eps: 1e-5, ..Adagrad::default() };
    let burn = || AdaGradConfig::new().with_lr_decay(0.1);
    same(rule, &Pipeline::default(), burn().init());
    let rule = Adagrad { weight_decay: 0.1, eps: 1e-3, ..rule };
    let burn = burn().with_epsilon(1e-3);
    let burn = burn.with_weight_decay(Some(WeightDecayConfig { penalty: 0.1 }));
    same(rule, &Pipeline::default(), burn.init());
}

#[test]
fn clipped_by_value() {
    let pipeline = Pipeline { clip_value: Some(1e-3), ..Pipeline::default() };
    let clipping = GradientClipping::Value(1e-3);
    same(Sgd::default(), &pipeline, Burn::from(SgdConfig::new().build()).with_grad_clipping(clipping));
}
