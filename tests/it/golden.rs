//! Trajectories of PyTorch 2.15 on CPU: no farther from its float64 run than twice its float32 run.

use approx::assert_relative_eq;
use lanestep::{AnyRule, Level, Optimizer};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    optimizer: String,
    params0: Vec<f32>,
    grads: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    desc: String,
    options: BTreeMap<String, Value>,
    params_f32: BTreeMap<u64, Vec<f64>>,
    params_f64: BTreeMap<u64, Vec<f64>>,
    state_f64: BTreeMap<String, Value>,
}

/// One number for all elements, which PyTorch keeps as state and which follows from the step here.
const OF_THE_STEP: [&str; 4] = ["step", "mu_product", "eta", "mu"];

/// The largest; NaN if there is one.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).max_by(f64::total_cmp).expect("some numbers")
}

/// Every rule must have its file, but for those that are held to a paper.
#[test]
fn every_rule_follows_pytorch() {
    for rule in AnyRule::all() {
        if crate::papers::names().contains(&rule.name()) {
            continue;
        }
        let file = format!("{}/tests/golden/{}.json", env!("CARGO_MANIFEST_DIR"), rule.name().to_lowercase());
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let golden: Golden = serde_json::from_str(&text).unwrap();
        assert_eq!(golden.optimizer, rule.name());
        assert!(golden.cases.len() >= 5);
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
        assert!(names.contains(&file), "{file}");
    }
}

fn follow(golden: &Golden, case: &Case, level: Level) {
    let context = format!("{} {}", golden.optimizer, case.desc);
    let mut options = case.options.clone();
    options.insert("rule".into(), golden.optimizer.clone().into());
    let rule: AnyRule = serde_json::from_value(serde_json::to_value(options).unwrap()).unwrap();
    let mut optimizer = Optimizer::new(rule, golden.params0.len()).unwrap();
    optimizer.set_level(level);
    let mut params = golden.params0.clone();
    let mut compared = 0;
    for grads in &golden.grads {
        optimizer.step(&mut params, grads).unwrap();
        let Some(truth) = case.params_f64.get(&optimizer.steps()) else { continue };
        let largest = truth.iter().fold(0.0, |max: f64, p| max.max(p.abs())) as f32;
        let ulp = f64::from(largest.next_up() - largest);
        let theirs = distance(&case.params_f32[&optimizer.steps()], truth);
        let ours = distance(&params.iter().copied().map(f64::from).collect::<Vec<_>>(), truth);
        let bound = 2.0 * theirs + 8.0 * ulp;
        assert!(ours <= bound, "{context} {level}, step {}: {ours:e} > {bound:e}", optimizer.steps());
        compared += 1;
    }
    assert!(compared >= 5, "{context}: nothing was compared");
    let of_elements = |name: &str| !OF_THE_STEP.contains(&name);
    for (name, truth) in case.state_f64.iter().filter(|(name, _)| of_elements(name)) {
        let truth: Vec<f64> = serde_json::from_value(truth.clone()).unwrap();
        let found = optimizer.state(name).unwrap_or_else(|| panic!("{context}: no {name}"));
        assert_eq!(found.len(), truth.len());
        for (&found, &truth) in found.iter().zip(&truth) {
            assert_relative_eq!(f64::from(found), truth, max_relative = 1e-5, epsilon = 1e-7);
        }
    }
}
