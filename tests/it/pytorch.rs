//! Runs that began in PyTorch, went on here and ended there, as `examples/pytorch/run.py --keep` records them: the files that
//! they went through, and the parameters after 100 and 150 steps.

use crate::distance::assert_near;
use lanestep::checkpoint::{Checkpoint, Snapshot};
use lanestep::{AnyRule, Level, Optimizer, Tensor};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Cursor;

#[derive(Deserialize)]
struct Run {
    /// Of PyTorch alone, in either precision.
    f32: BTreeMap<u64, Vec<f64>>,
    f64: BTreeMap<u64, Vec<f64>>,
    /// Of both.
    together: BTreeMap<u64, Vec<f32>>,
}

fn read(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/pytorch/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{path} ({error}): add the rule to `CASES` in examples/pytorch/run.py, and run it with `--keep`"
        )
    })
}

/// Those of every rule that PyTorch has.
fn runs() -> Vec<(&'static str, Run)> {
    let mut runs: BTreeMap<String, Run> = serde_json::from_slice(&read("trajectories.json")).unwrap();
    let of_pytorch = AnyRule::all().into_iter().filter(|rule| !crate::papers::names().contains(&rule.name()));
    let run = |rule: AnyRule| (rule.name(), runs.remove(rule.name()).unwrap_or_else(|| panic!("{rule:?}")));
    of_pytorch.map(run).collect()
}

/// As `examples/pytorch/main.rs`.
fn gradients(step: u64, len: usize) -> Vec<f32> {
    let gradient = |i: u64| ((7919 * i + 104_729 * step) % 2001) as f32 - 1000.0;
    (0..len as u64).map(|i| gradient(i) / (1024 << (i % 4)) as f32).collect()
}

#[test]
fn what_began_in_pytorch_goes_on_here() {
    for (rule, run) in runs() {
        let file = read(&format!("{rule}.torch.safetensors"));
        for level in Level::available() {
            let mut checkpoint = Checkpoint::read(Cursor::new(&file)).unwrap();
            checkpoint.verify().unwrap();
            let mut params = vec![0.0; checkpoint.layout().len()];
            checkpoint.params(&mut [Tensor::of(&mut params)]).unwrap();
            let layout = checkpoint.layout().clone();
            let mut optimizer: Optimizer<AnyRule> = checkpoint.optimizer(layout).unwrap();
            assert_eq!(optimizer.rule().name(), rule);
            optimizer.set_level(level);
            for step in 50..100 {
                assert_eq!(optimizer.steps(), step, "{rule}");
                optimizer.step(&mut params, &gradients(step, optimizer.len())).unwrap();
            }
            assert_near(&params, &run.f32[&100], &run.f64[&100], &format!("{rule}, {level}"));

            let (mut written, tensors) = (Vec::new(), [Tensor::of(&mut params)]);
            Snapshot::of(&optimizer).params(&tensors).write(&mut written).unwrap();
            let read_by_pytorch = read(&format!("{rule}.lanestep.safetensors"));
            assert!(written == read_by_pytorch, "{rule}, {level}: not the bytes that PyTorch has read");
        }
    }
}

#[test]
fn what_went_on_here_ends_in_pytorch() {
    for (rule, run) in runs() {
        assert_near(&run.together[&150], &run.f32[&150], &run.f64[&150], &rule);
    }
}
