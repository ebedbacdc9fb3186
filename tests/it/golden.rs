//! Trajectories of PyTorch 2.15 on CPU: no farther from its float64 run than twice its float32 run.

use crate::distance::{assert_near, assert_state};
use lanestep::{AnyRule, Level, Optimizer};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A file: `params0` stepped along `grads`, one after the other, with each of the cases' options.
#[derive(Deserialize)]
struct Golden {
    /// PyTorch's class, which is the rule's name; in lower case, the file's.
    optimizer: String,
    params0: Vec<f32>,
    grads: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

/// Parameters after some of the steps, and the state after the last, of PyTorch in either precision.
#[derive(Deserialize)]
struct Case {
    desc: String,
    /// What is not PyTorch's default.
    options: BTreeMap<String, Value>,
    params_f32: BTreeMap<u64, Vec<f64>>,
    params_f64: BTreeMap<u64, Vec<f64>>,
    state_f64: BTreeMap<String, Value>,
}

/// One number for all elements, which PyTorch keeps as state and which follows from the step here.
const OF_THE_STEP: [&str; 4] = ["step", "mu_product", "eta", "mu"];

/// Every rule must have its file, but for those that are held to a paper.
#[test]
fn every_rule_follows_pytorch() {
    for rule in AnyRule::all() {
        if crate::papers::names().contains(&rule.name()) {
            continue;
        }
        let file = format!("tests/golden/{}.json", rule.name().to_lowercase());
        let text = std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR")));
        let text = text.unwrap_or_else(|error| {
            panic!(
                "no {file} ({error}): record PyTorch's trajectory, or add {} to `papers!` in tests/it/papers.rs \
                 with its paper's formula",
                rule.name()
            )
        });
        let golden: Golden = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(golden.optimizer, rule.name(), "{file}");
        assert!(golden.cases.len() >= 5, "{file}: {} cases, but 5 are too few", golden.cases.len());
        for case in &golden.cases {
            for level in Level::available() {
                follow(&golden, case, level);
            }
        }
    }
}

#[test]
fn every_trajectory_has_its_rule() {
    let folder = format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"));
    let names: Vec<_> =
        AnyRule::all().iter().map(|rule| format!("{}.json", rule.name().to_lowercase())).collect();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&file), "tests/golden/{file}: no rule in src/rule.rs has that name");
    }
}

fn follow(golden: &Golden, case: &Case, level: Level) {
    let context = format!("{}, {}, {level}", golden.optimizer, case.desc);
    let mut options = case.options.clone();
    options.insert("rule".into(), golden.optimizer.clone().into());
    let rule: AnyRule = serde_json::from_value(serde_json::to_value(options).unwrap())
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut optimizer = Optimizer::new(rule, golden.params0.len()).unwrap();
    optimizer.set_level(level);
    let mut params = golden.params0.clone();
    let mut compared = 0;
    for grads in &golden.grads {
        optimizer.step(&mut params, grads).unwrap();
        let step = optimizer.steps();
        let Some(truth) = case.params_f64.get(&step) else { continue };
        assert_near(&params, &case.params_f32[&step], truth, &format!("{context}, step {step}"));
        compared += 1;
    }
    assert!(compared >= 5, "{context}: {compared} steps were compared, but 5 are too few");
    let of_elements = |name: &str| !OF_THE_STEP.contains(&name);
    for (name, truth) in case.state_f64.iter().filter(|(name, _)| of_elements(name)) {
        let truth: Vec<f64> = serde_json::from_value(truth.clone()).unwrap();
        let found = optimizer.state(name).unwrap_or_else(|| panic!("{context}: no slot {name}"));
        assert_state(found, &truth, 1e-5, &format!("{context}, {name}"));
    }
}
