//! The bits of one flat step, in the same memory.

use crate::model::{Net, addresses, bits, grads, params};
use lanestep::{AdamW, Optimizer, Pipeline, Tensor};
use lanestep_burn::ModuleOptimizer;

#[test]
fn a_module_is_one_slice() {
    let mut net = Net::new();
    let rule = AdamW { lr: 1e-2, ..AdamW::default() };
    let mut optimizer = ModuleOptimizer::new(rule, &net).unwrap();
    let mut flat = params(&net);
    let mut one = Optimizer::new(rule, flat.len()).unwrap();
    let pipeline = Pipeline { max_norm: Some(0.01), ..Pipeline::default() };
    for _ in 0..3 {
        let (grads, flat_grads) = {
            let g = net.grads();
            let f = grads(&net, &g);
            (g, f)
        };
        let (stepped, report) = optimizer.step_with(1e-2, net, grads, &pipeline).unwrap();
        net = stepped;
        let expected = one.step_with(&mut [Tensor::new(&mut flat, &flat_grads)], &pipeline).unwrap();
        assert_eq!(report, expected);
        assert!(report.clipped());
        assert_eq!(bits(&params(&net)), bits(&flat));
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
