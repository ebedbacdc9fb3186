//! Values that a trainer keeps in its checkpoints and configurations come back as they were.

use crate::variants::{fields, parse};
use ciborium::Value;
use lanestep::schedule::Cyclic;
use lanestep::{AdEmaMix, AdamW, AnyRule, CautiousAdamW, Gradients, Health, LossScaler, NonFinite, Pipeline};
use lanestep::{ReduceOnPlateau, Report, Rprop, Rule, Schedule, Sgd, Stopping, Update};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    let unknown = text.replacen('{', "{\"no_such_option\":1,", 1);
    assert!(serde_json::from_str::<T>(&unknown).unwrap_err().to_string().contains("no_such_option"));
}

#[test]
fn pipelines_scalers_health_and_stopping_come_back() {
    comes_back(&Pipeline::default());
    comes_back(&Pipeline {
        scale: 1.0 / 3.0,
        max_norm: Some(0.1),
        clip_value: Some(1e-3),
        non_finite: NonFinite::Skip,
        min_param: Some(-0.1),
        max_param: Some(1e30),
        measure_grads: true,
        measure_update: true,
    });
    comes_back(&LossScaler { scale: 2_f64.powi(-40), clean_steps: u64::MAX, ..LossScaler::default() });
    comes_back(&Health::default());
    comes_back(&Health { norm: Some(0.1), last_norm: Some(1e300), steps: 7, ..Health::default() });
    comes_back(&Stopping::default());
    comes_back(&Stopping { best: Some(-0.3), goal: Some(1e-9), waited: 3, ..Stopping::default() });
    let brief: Pipeline = serde_json::from_str(r#"{"max_norm": 1.0, "non_finite": "Error"}"#).unwrap();
    assert_eq!(brief, Pipeline { max_norm: Some(1.0), non_finite: NonFinite::Error, ..Pipeline::default() });
}

/// Numbers that formats are tempted to lose, or to change.
const HOSTILE: [f64; 12] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    5e-324,
    -1e-320,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::MIN,
    0.1,
    9_007_199_254_740_993.0,
];

/// Puts hostile numbers where there are numbers, or where there may be.
fn replace(value: &mut Value, rng: &mut fastrand::Rng) {
    match value {
        Value::Null if rng.bool() => {}
        Value::Null | Value::Float(_) => *value = Value::Float(*rng.choice(&HOSTILE).unwrap()),
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, rng)),
        Value::Map(fields) => fields.iter_mut().for_each(|(_, value)| replace(value, rng)),
        _ => {}
    }
}

fn all_bits<T: Debug>(value: &T) -> String {
    format!("{value:?}") // tells -0.0 from 0.0, and is the same for every NaN
}

/// Through formats that say what stands in them: for people and not.
fn survives<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(all_bits(&serde_json::from_str::<T>(&text).unwrap()), all_bits(value), "{text}");
    let json = serde_json::to_value(value).unwrap();
    assert_eq!(all_bits(&serde_json::from_value::<T>(json).unwrap()), all_bits(value));
    let mut bytes = vec![];
    ciborium::into_writer(value, &mut bytes).unwrap();
    assert_eq!(all_bits(&ciborium::from_reader::<T, _>(&*bytes).unwrap()), all_bits(value));
}

/// And through one in which only numbers stand, one after the other.
fn survives_bare<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    survives(value);
    let bytes = postcard::to_stdvec(value).unwrap();
    assert_eq!(all_bits(&postcard::from_bytes::<T>(&bytes).unwrap()), all_bits(value));
}

/// The value with hostile numbers in it, again and again.
fn hostile<T: Serialize + DeserializeOwned>(value: &T, seed: u64, survives: fn(&T)) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let plain = Value::serialized(value).unwrap();
    for _ in 0..100 {
        let mut changed = plain.clone();
        replace(&mut changed, &mut rng);
        survives(&changed.deserialized::<T>().unwrap());
    }
}

#[test]
fn every_number_survives_every_format() {
    hostile(&Pipeline::default(), 1, survives_bare);
    hostile(&LossScaler::default(), 2, survives_bare);
    hostile(&Health::default(), 3, survives_bare);
    hostile(&Stopping::default(), 4, survives_bare);
    hostile(&Sgd::default(), 5, survives_bare);
    hostile(&Rprop::default(), 6, survives_bare);
    hostile(&AdEmaMix::default(), 7, survives_bare);
    hostile(&CautiousAdamW::default(), 8, survives_bare);
    hostile(&ReduceOnPlateau::new(0.1), 9, survives_bare);
    hostile(&ReduceOnPlateau { best: Some(1.0), ..ReduceOnPlateau::new(0.1) }, 10, survives_bare);
    // Their kind is told by a name.
    let one_cycle = Schedule::one_cycle(0.1, 100).warmup(3);
    let decay = Schedule::warmup_stable_decay(0.1, 1, 2, 3);
    let parts = [(Schedule::linear(0.1, 10), 10), (Schedule::cosine(0.1, 100), 100), (decay, 1)];
    for schedule in [
        Schedule::constant(0.1),
        Schedule::multi_step(0.1, [3, 5], 0.5),
        Schedule::step(0.1, 3, 0.5),
        Schedule::exponential(0.1, 0.9),
        Schedule::polynomial(0.1, 5, 2.0),
        Schedule::cosine_warm_restarts(0.1, 10, 2),
        Cyclic { step_size_down: Some(3), ..Cyclic::new(0.1, 0.2, 10) }.into(),
        Schedule::inverse_sqrt(0.1, 10),
        Schedule::chained(0.1, [Schedule::sequence(parts), one_cycle]),
    ] {
        hostile(&schedule, 11, survives);
    }
}

#[test]
fn every_number_of_every_rule_survives_and_is_refused_by_its_check_if_not_finite() {
    let mut rng = fastrand::Rng::with_seed(9);
    for rule in AnyRule::all() {
        for _ in 0..40 {
            let mut map = fields(&rule);
            map.iter_mut().for_each(|(_, value)| replace(value, &mut rng));
            survives(&parse(map));
        }
        let plain = fields(&rule);
        for i in 0..plain.len() {
            for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Value::Float) {
                let mut map = plain.clone();
                match &mut map[i].1 {
                    Value::Float(_) | Value::Null => map[i].1 = x,
                    Value::Array(numbers) => *rng.choice(numbers).unwrap() = x,
                    _ => continue,
                }
                let broken = parse(map);
                assert!(broken.check().is_err(), "its check should refuse {broken:?}");
            }
        }
    }
}

#[test]
fn what_is_not_finite_has_pythons_name() {
    let stopping = Stopping {
        tolerance: f64::INFINITY,
        goal: Some(f64::NAN),
        best: Some(f64::NEG_INFINITY),
        ..Stopping::default()
    };
    let text = r#"{"patience":10,"tolerance":"Infinity","goal":"NaN","best":"-Infinity","waited":0}"#;
    assert_eq!(serde_json::to_string(&stopping).unwrap(), text);
}

#[test]
fn finite_numbers_are_written_as_ever() {
    let rule = AdamW { betas: (-0.0, 0.999), clip_value: Some(1e-320), ..AdamW::default() };
    let text = r#"{"lr":0.001,"betas":[-0.0,0.999],"eps":1e-8,"amsgrad":false,"bias_correction":true,"weight_decay":0.01,"decoupled_weight_decay":true,"l1_decay":0.0,"clip_value":1e-320,"maximize":false}"#;
    assert_eq!(serde_json::to_string(&rule).unwrap(), text);
    let scaler = r#"{"scale":65536.0,"growth_factor":2.0,"backoff_factor":0.5,"growth_interval":2000,"clean_steps":0}"#;
    assert_eq!(serde_json::to_string(&LossScaler::default()).unwrap(), scaler);
}

#[test]
fn numbers_are_read_as_others_write_them() {
    let read = |text: &str| serde_json::from_str::<Pipeline>(text).map(|pipeline| pipeline.scale);
    for (text, scale) in [
        (r#"{"scale": 3}"#, 3.0),
        (r#"{"scale": -3}"#, -3.0),
        (r#"{"scale": "1e-3"}"#, 1e-3), // YAML 1.1 takes it for a string
        (r#"{"scale": "-Infinity"}"#, f64::NEG_INFINITY),
        // `serde_json` with its feature `arbitrary_precision`.
        (r#"{"scale": {"$serde_json::private::Number": "0.5"}}"#, 0.5),
    ] {
        assert_eq!(read(text).unwrap(), scale, "{text}");
    }
    for (text, word) in [
        (r#"{"scale": "much"}"#, "much"),
        (r#"{"scale": null}"#, "null"),
        (r#"{"scale": true}"#, "a number"),
        (r#"{"scale": {"Number": "0.5"}}"#, "a number"),
        (r#"{"scale": {}}"#, "a number"),
        (r#"{"max_norm": [1.0]}"#, "a number"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn a_report_is_written_to_a_log() {
    let grads =
        Gradients { norm: f64::INFINITY, max_abs: f64::NAN, non_finite: 2, first_non_finite: Some(7) };
    let update = Some(Update { norm: 0.5, params_norm: 2.0 });
    let report = Report { grads: Some(grads), clip_factor: 1.0, skipped: true, update };
    let text = r#"{"grads":{"norm":"Infinity","max_abs":"NaN","non_finite":2,"first_non_finite":7},"clip_factor":1.0,"skipped":true,"update":{"norm":0.5,"params_norm":2.0}}"#;
    assert_eq!(serde_json::to_string(&report).unwrap(), text);
}
