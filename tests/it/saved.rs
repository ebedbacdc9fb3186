//! Values that a trainer keeps in its checkpoints and configurations come back as they were.

use lanestep::{Health, LossScaler, NonFinite, Pipeline, Stopping};
use serde::{Serialize, de::DeserializeOwned};

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
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
