//! A run that was interrupted has the bits of one that was not.

use crate::model::{Net, assert_bits, copy, params};
use burn::module::Module;
use burn::optim;
use lanestep::{AdamW, Optimizer, RmsProp, Rule};
use lanestep_burn::{ModuleOptimizer, PerTensor, layout};

#[test]
fn from_files() {
    let dir = tempfile::tempdir().unwrap();
    let (model, state) = (dir.path().join("model.bpk"), dir.path().join("optimizer.safetensors"));
    let mut net = Net::new();
    let mut optimizer = ModuleOptimizer::new(AdamW::default(), &net).unwrap();
    optimizer.inner.set_ema(0.9).unwrap();
    for _ in 0..2 {
        let given = net.grads();
        net = optimizer.step(1e-2, net, given).unwrap();
    }
    net.clone().save_file(&model).unwrap();
    optimizer.inner.save(&state).unwrap();

    let mut resumed = Net::new().load_file(&model);
    let inner = Optimizer::<AdamW>::load(&state, layout(&resumed).unwrap()).unwrap();
    let mut resumed_optimizer = ModuleOptimizer::from(inner);
    for _ in 0..3 {
        let given = net.grads();
        let again = copy(&net, &given);
        net = optimizer.step(1e-2, net, given).unwrap();
        resumed = resumed_optimizer.step(1e-2, resumed, again).unwrap();
        assert_bits(&params(&resumed), &params(&net));
    }
    assert_bits(resumed_optimizer.inner.ema().unwrap(), optimizer.inner.ema().unwrap());
}

#[test]
fn from_records_of_burn() {
    goes_on(RmsProp { momentum: 0.9, centered: true, ..RmsProp::default() });
    goes_on(AdamW { amsgrad: true, ..AdamW::default() }); // which counts
}

fn goes_on(rule: impl Rule + Copy + 'static) {
    let new = || -> optim::ModuleOptimizer { PerTensor::new(rule).unwrap().into() };
    let (mut net, mut optimizer) = (Net::new(), new());
    for _ in 0..2 {
        let given = net.grads();
        net = optimizer.step(1e-2, net, given);
    }
    let mut resumed = net.clone();
    // What is read is written again before the first step.
    let bytes = new().from_bytes(optimizer.into_bytes().unwrap()).unwrap().into_bytes().unwrap();
    let mut resumed_optimizer = new().from_bytes(bytes).unwrap();
    let mut cloned_optimizer = optimizer.clone();
    let mut cloned = net.clone();
    for _ in 0..3 {
        let given = net.grads();
        let (again, third) = (copy(&net, &given), copy(&net, &given));
        net = optimizer.step(1e-2, net, given);
        resumed = resumed_optimizer.step(1e-2, resumed, again);
        cloned = cloned_optimizer.step(1e-2, cloned, third);
        assert_bits(&params(&resumed), &params(&net));
        assert_bits(&params(&cloned), &params(&net));
    }
}
