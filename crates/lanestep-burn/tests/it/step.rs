//! The bits of one flat step, in the same memory.

use crate::model::{Net, One, addresses, assert_bits, device, grads, params};
use burn::optim::GradientsAccumulator;
use lanestep::{AdamW, Group, NonFinite, Optimizer, Pipeline, Tensor, axpy};
use lanestep_burn::{Error, ModuleOptimizer, layout};

#[test]
fn a_module_is_one_slice() {
    let mut net = Net::new();
    let rule = AdamW { lr: 1e-2, ..AdamW::default() };
    let mut optimizer = ModuleOptimizer::new(rule, &net).unwrap();
    let mut flat = params(&net);
    let mut one = Optimizer::new(rule, flat.len()).unwrap();
    let pipeline = Pipeline { max_norm: Some(0.01), ..Pipeline::default() };
    for _ in 0..3 {
        let given = net.grads();
        let flat_grads = grads(&net, &given);
        let report;
        (net, report) = optimizer.step_with(1e-2, net, given, &pipeline).unwrap();
        let expected = one.step_with(&mut [Tensor::new(&mut flat, &flat_grads)], &pipeline).unwrap();
        assert_eq!(report, expected);
        assert!(report.clipped());
        assert_bits(&params(&net), &flat);
    }
}

#[test]
fn memory_stays() {
    let mut net = Net::new();
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &net).unwrap();
    let before = addresses(&net);
    for _ in 0..3 {
        let grads = net.grads();
        net = optimizer.step(1e-2, net, grads).unwrap();
        assert_eq!(addresses(&net), before);
    }
}

#[test]
fn groups_are_chosen_by_path() {
    let mut net = Net::new();
    let layout = layout(&net).unwrap();
    let names: Vec<_> = layout.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["first.weight", "first.bias", "second.weight", "second.bias"]);
    assert_eq!(layout.shape("second.weight"), Some(&[64, 8][..]));
    let is_weight = |name: &str| name.ends_with("weight");
    let decayed = AdamW { lr: 1e-2, weight_decay: 0.5, ..AdamW::default() };
    let bare = AdamW { lr: 5e-3, weight_decay: 0.0, ..decayed };
    let groups = [
        Group::over(decayed, layout.select(is_weight)),
        Group::over(bare, layout.select(|name| !is_weight(name))),
    ];
    let mut flat = params(&net);
    let mut one = Optimizer::with_groups(groups.clone(), flat.len()).unwrap();
    let mut optimizer = ModuleOptimizer::from(Optimizer::with_groups(groups, layout).unwrap());
    for lr in [1e-2, 1e-1] {
        let given = net.grads();
        let flat_grads = grads(&net, &given);
        net = optimizer.step(lr, net, given).unwrap();
        one.set_lr(lr).unwrap();
        one.step(&mut flat, &flat_grads).unwrap();
        assert_bits(&params(&net), &flat);
    }
    assert_eq!(optimizer.inner.group_lr(1), Some(5e-2));
}

#[test]
fn the_average_changes_places_with_the_parameters() {
    let mut net = Net::new();
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &net).unwrap();
    optimizer.inner.set_ema(0.5).unwrap();
    for _ in 0..2 {
        let given = net.grads();
        net = optimizer.step(1e-2, net, given).unwrap();
    }
    let (trained, average) = (params(&net), optimizer.inner.ema().unwrap().to_vec());
    let swapped = optimizer.swap_ema(net).unwrap();
    assert_bits(&params(&swapped), &average);
    let given = swapped.grads();
    let refused = optimizer.step(1e-2, swapped, given).unwrap_err();
    assert!(matches!(refused.error, Error::Lanestep(lanestep::Error::Swapped)));
    let net = optimizer.swap_ema(refused.module).unwrap();
    assert_bits(&params(&net), &trained);
}

#[test]
fn micro_batches_are_accumulated_by_burn() {
    let mut net = Net::new();
    let mut flat = params(&net);
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &net).unwrap();
    let mut one = Optimizer::new(AdamW::default(), flat.len()).unwrap();
    let pipeline = Pipeline { scale: 0.5, ..Pipeline::default() };
    let mut accumulator = GradientsAccumulator::new();
    let mut sum = vec![0.0; flat.len()];
    for _ in 0..2 {
        let given = net.grads();
        axpy(1.0, &grads(&net, &given), &mut sum).unwrap();
        accumulator.accumulate(&net, given);
    }
    (net, _) = optimizer.step_with(1e-3, net, accumulator.grads(), &pipeline).unwrap();
    one.step_with(&mut [Tensor::new(&mut flat, &sum)], &pipeline).unwrap();
    assert_bits(&params(&net), &flat);
}

#[test]
fn skipped() {
    let device = device();
    let ones = || burn::tensor::Tensor::<2>::ones([2, 3], &device.clone().inner());
    let one = One::new(burn::tensor::Tensor::ones([2, 3], &device));
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &one).unwrap();
    let pipeline = Pipeline { non_finite: NonFinite::Skip, ..Pipeline::default() };
    let (grads, before) = (one.grads(ones() / 0.0), params(&one));
    let (one, report) = optimizer.step_with(1e-3, one, grads, &pipeline).unwrap();
    assert!(report.skipped && optimizer.inner.steps() == 0);
    assert_bits(&params(&one), &before);
}
