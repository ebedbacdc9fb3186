//! PyTorch's dictionaries of options.

use lanestep::{Adam, AdamW, AnyRule, RmsProp, Sgd};
use serde::Deserialize;

#[test]
fn a_dictionary_parses_unchanged() {
    let text = r#"{"rule": "AdamW", "lr": 1e-3, "betas": [0.9, 0.999], "weight_decay": 0.1, "amsgrad": true,
        "maximize": false}"#;
    let rule: AnyRule = serde_json::from_str(text).unwrap();
    assert_eq!(rule, AdamW { weight_decay: 0.1, amsgrad: true, ..AdamW::default() }.into());
}

/// `{"rule": "AdamW", **torch.optim.AdamW(params).defaults}` of PyTorch 2.15, and the like of Adam.
#[test]
fn what_pytorch_itself_writes_parses() {
    let adamw = r#"{"rule": "AdamW", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.01,
        "amsgrad": false, "maximize": false, "foreach": null, "capturable": false, "differentiable": false,
        "fused": null, "decoupled_weight_decay": true}"#;
    assert_eq!(serde_json::from_str::<AnyRule>(adamw).unwrap(), AdamW::default().into());
    let value = serde_json::from_str::<serde_json::Value>(adamw).unwrap();
    assert_eq!(AnyRule::deserialize(&value).unwrap(), AdamW::default().into());
    assert_eq!(AnyRule::deserialize(value).unwrap(), AdamW::default().into());
    let adam = r#"{"fused": true, "lr": 0.01, "rule": "Adam", "foreach": [1, {"a": 2}]}"#;
    assert_eq!(serde_json::from_str::<AnyRule>(adam).unwrap(), Adam { lr: 0.01, ..Adam::default() }.into());
}

#[test]
fn what_is_left_out_is_pytorchs_default() {
    for (name, rule) in [
        ("SGD", AnyRule::Sgd(Sgd { lr: 1e-3, momentum: 0.0, weight_decay: 0.0, ..Sgd::default() })),
        ("RMSprop", RmsProp { lr: 1e-2, alpha: 0.99, eps: 1e-8, ..RmsProp::default() }.into()),
        (
            "Adam",
            Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, ..Adam::default() }.into(),
        ),
        ("AdamW", AdamW { lr: 1e-3, betas: (0.9, 0.999), weight_decay: 1e-2, ..AdamW::default() }.into()),
    ] {
        assert_eq!(serde_json::from_str::<AnyRule>(&format!(r#"{{"rule": "{name}"}}"#)).unwrap(), rule);
        assert_eq!(rule.name(), name);
    }
}

#[test]
fn unknown_options_and_rules_are_errors() {
    for (text, word) in [
        (r#"{"rule": "SGD", "betas": [0.9, 0.999]}"#, "betas"),
        (r#"{"rule": "Adam", "learning_rate": 0.1}"#, "learning_rate"),
        (r#"{"rule": "Adam", "betas": [0.9]}"#, "length"),
        (r#"{"rule": "Adam", "lr": "fast"}"#, "fast"),
        (r#"{"rule": "Adamm"}"#, "Adamm"),
        (r#"{"lr": 0.1}"#, "rule"),
        (r#"[1, 2]"#, "dictionary"),
        (r#"{"rule": "SGD", "lr": 1, "lr": 2}"#, "duplicate"),
    ] {
        let error = serde_json::from_str::<AnyRule>(text).unwrap_err();
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for rule in crate::variants::every_combination() {
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<AnyRule>(&text).unwrap(), rule, "{text}");
    }
}

#[test]
fn a_rule_by_itself_needs_no_tag() {
    let rule: Sgd = serde_json::from_str(r#"{"lr": 1, "momentum": 0.9, "nesterov": true}"#).unwrap();
    assert_eq!(rule, Sgd { lr: 1.0, momentum: 0.9, nesterov: true, ..Sgd::default() });
}
