//! What C has stepped has the bits of the flat step in Rust.

use crate::compiler::{Link, ROOT, build, run, succeeded};
use lanestep::{AnyRule, Layout, Optimizer, Pipeline, Report, Tensor};
use std::path::Path;

const LENS: [(&str, usize); 4] = [("a", 1000), ("none", 0), ("b", 32_000), ("c", 7)];
const LEN: usize = 33_007;

/// The numbers of `bits.c`.
fn number(seed: &mut u32) -> f32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    ((*seed >> 8) as i32 - (1 << 23)) as f32 / (1 << 23) as f32
}

/// One slice of all; but a layer is a tensor to rules that measure layers.
fn stepped(rule: AnyRule, seed: u32) -> (Vec<f32>, Report) {
    let mut seed = seed;
    let mut params: Vec<f32> = (0..LEN).map(|_| number(&mut seed)).collect();
    let mut optimizer = Optimizer::new(rule, Layout::new(LENS).unwrap()).unwrap();
    let pipeline = Pipeline { max_norm: Some(0.5), measure_update: true, ..Pipeline::default() };
    let mut report = None;
    for _ in 0..2 {
        let grads: Vec<f32> = (0..LEN).map(|_| number(&mut seed)).collect();
        let (mut rest, mut rest_grads) = (&mut *params, &*grads);
        let mut tensors = if ["LAMB", "LARS", "CautiousAdamW", "CautiousLion"].contains(&rule.name()) {
            let one = |(_, len): (&str, usize)| {
                let params = rest.split_off_mut(..len).unwrap();
                Tensor::new(params, rest_grads.split_off(..len).unwrap())
            };
            LENS.map(one).into_iter().collect()
        } else {
            vec![Tensor::new(rest, rest_grads)]
        };
        report = Some(optimizer.step_with(&mut tensors, &pipeline).unwrap());
    }
    (params, report.unwrap())
}

#[test]
fn every_rule_has_the_bits_of_the_flat_step() {
    let folder = tempfile::tempdir().unwrap();
    let program = build(&Path::new(ROOT).join("tests/c/bits.c"), folder.path(), Link::Static);
    let rules = AnyRule::all();
    let in_json = rules.iter().map(|rule| serde_json::to_string(rule).unwrap());
    let output = succeeded(run(&program).args(in_json)).stdout;
    let each = 4 * LEN + 4 * 8;
    assert_eq!(output.len(), each * rules.len());
    for ((rule, found), seed) in rules.into_iter().zip(output.chunks(each)).zip(1..) {
        let (params, report) = stepped(rule, seed);
        let (update, norm) = (report.update.unwrap(), report.norm().unwrap());
        let expected = params.iter().flat_map(|p| p.to_ne_bytes());
        let numbers = [norm, report.clip_factor, update.norm, update.params_norm];
        let expected: Vec<u8> = expected.chain(numbers.into_iter().flat_map(f64::to_ne_bytes)).collect();
        assert!(expected == found, "{} has other bits", rule.name());
        assert!(params.iter().all(|p| p.is_finite()));
    }
}
