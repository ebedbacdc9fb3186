//! Every way to be refused, and that nothing was written.

use crate::variants::{fields, parse, with};
use ciborium::Value;
use lanestep::{
    Adam, AdamW, AdamWScheduleFree, AnyRule, Error, Optimizer, QHAdam, RmsProp, Rule, Sgd, Signum,
};

fn name_of(error: &Error) -> &'static str {
    match error {
        Error::Hyperparameter { name, .. } => name,
        other => panic!("another error: {other:?}"),
    }
}

fn lets_pass(rule: &AnyRule, name: &str) -> ! {
    panic!("the rule's check should refuse {name}, by one of rule::range: {rule:?}")
}

#[test]
fn every_number_of_every_rule_is_checked_and_named() {
    let mut checked = 0;
    for rule in AnyRule::all() {
        let map = fields(&rule);
        for (i, (name, value)) in map.iter().enumerate() {
            let name = name.as_text().unwrap();
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-3, 1e39] {
                let bad = Value::Float(bad);
                let wrong: Vec<(String, Value)> = match value {
                    Value::Float(_) | Value::Null => vec![(name.to_owned(), bad)],
                    Value::Array(numbers) => (0..numbers.len())
                        .map(|k| {
                            let mut numbers = numbers.clone();
                            numbers[k] = bad.clone();
                            (format!("{name}.{k}"), Value::Array(numbers))
                        })
                        .collect(),
                    _ => vec![],
                };
                for (full_name, value) in wrong {
                    let rule = parse(with(&map, i, &value));
                    let Err(error) = Optimizer::new(rule, 3) else { lets_pass(&rule, &full_name) };
                    assert_eq!(name_of(&error), full_name, "{rule:?}");
                    let text = error.to_string();
                    let range = ["must be in [", "must be in ("].iter().any(|range| text.contains(range));
                    assert!(text.contains(&full_name) && range, "{text}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked >= 100, "only {checked} values: has the list of options been lost?");
}

#[test]
fn ranges_end_where_they_say() {
    let largest = f64::from(f32::MAX);
    let sgd = Sgd { momentum: 0.5, ..Sgd::default() };
    let good: [AnyRule; 7] = [
        Sgd { lr: largest, weight_decay: largest, l1_decay: largest, clip_value: Some(largest), ..sgd }
            .into(),
        Sgd { lr: 0.0, clip_value: Some(0.0), ..sgd }.into(),
        Sgd { dampening: 1.0, momentum: 1.5, ..sgd }.into(),
        Adam { betas: (0.0, 0.0), eps: 0.0, ..Adam::default() }.into(),
        Adam { betas: (0.999_999_9, 1.0 - f64::EPSILON), ..Adam::default() }.into(),
        RmsProp { alpha: 0.0, momentum: 0.0, ..RmsProp::default() }.into(),
        RmsProp { alpha: 0.999_999_9, momentum: 2.0, ..RmsProp::default() }.into(),
    ];
    for rule in good {
        assert_eq!(rule.check(), Ok(()), "{rule:?}");
    }
    let bad: [(&str, AnyRule); 10] = [
        ("lr", Sgd { lr: largest * 1.000_001, ..sgd }.into()),
        ("dampening", Sgd { dampening: 1.000_001, ..sgd }.into()),
        ("clip_value", Sgd { clip_value: Some(-f64::MIN_POSITIVE), ..sgd }.into()),
        ("betas.0", Adam { betas: (1.0, 0.9), ..Adam::default() }.into()),
        ("betas.1", AdamW { betas: (0.9, 1.0), ..AdamW::default() }.into()),
        ("alpha", RmsProp { alpha: 1.0, ..RmsProp::default() }.into()),
        ("momentum", Signum { momentum: 1.0, ..Signum::default() }.into()),
        ("nus.0", QHAdam { nus: (1.000_001, 1.0), ..QHAdam::default() }.into()),
        ("nus.1", QHAdam { nus: (1.0, 1.000_001), ..QHAdam::default() }.into()),
        ("betas.0", AdamWScheduleFree { betas: (0.0, 0.999), ..AdamWScheduleFree::default() }.into()),
    ];
    for (name, rule) in bad {
        assert_eq!(name_of(&rule.check().unwrap_err()), name, "{rule:?}");
    }
}

#[test]
fn a_beta_of_one_is_refused() {
    let error = Optimizer::new(AdamW { betas: (0.9, 1.0), ..AdamW::default() }, 3).unwrap_err();
    assert_eq!(error, Error::Hyperparameter { name: "betas.1", found: 1.0, allowed: "in [0, 1)" });
    assert_eq!(error.to_string(), "betas.1 is 1, but must be in [0, 1)");
}

#[test]
fn a_beta_of_one_is_refused_by_every_rule() {
    for rule in AnyRule::all() {
        let map = fields(&rule);
        for (i, (name, value)) in map.iter().enumerate() {
            let wrong: Vec<(String, Value)> = match (name.as_text().unwrap(), value) {
                ("beta", Value::Float(_)) => vec![("beta".to_owned(), Value::Float(1.0))],
                ("betas", Value::Array(betas)) => (0..betas.len())
                    .map(|k| {
                        let mut betas = betas.clone();
                        betas[k] = Value::Float(1.0);
                        (format!("betas.{k}"), Value::Array(betas))
                    })
                    .collect(),
                _ => vec![],
            };
            for (name, value) in wrong {
                let rule = parse(with(&map, i, &value));
                let Err(error) = rule.check() else { lets_pass(&rule, &name) };
                assert_eq!(name_of(&error), name, "{rule:?}");
            }
        }
    }
}

#[test]
fn nesterov_needs_momentum_and_no_dampening() {
    let nesterov = Sgd { nesterov: true, ..Sgd::default() };
    assert_eq!(name_of(&nesterov.check().unwrap_err()), "momentum");
    let dampened = Sgd { momentum: 0.9, dampening: 0.1, ..nesterov };
    assert_eq!(name_of(&dampened.check().unwrap_err()), "dampening");
    assert_eq!(Sgd { momentum: 0.9, ..nesterov }.check(), Ok(()));
}

#[test]
fn slices_of_other_lengths_are_refused_and_nothing_is_written() {
    for rule in AnyRule::all() {
        let mut optimizer = Optimizer::new(rule, 20).unwrap();
        optimizer.step(&mut [0.5; 20], &[0.25; 20]).unwrap();
        let state = |optimizer: &Optimizer<AnyRule>| -> Vec<Vec<f32>> {
            rule.slots().iter().map(|name| optimizer.state(name).unwrap().to_vec()).collect()
        };
        let before = state(&optimizer);
        for (params, grads, what, found) in
            [(19, 20, "params", 19), (21, 20, "params", 21), (20, 0, "grads", 0), (20, 21, "grads", 21)]
        {
            let mut values = vec![0.5; params];
            let error = optimizer.step(&mut values, &vec![0.25; grads]).unwrap_err();
            assert_eq!(error, Error::Length { what, expected: 20, found });
            assert_eq!(error.to_string(), format!("{what} has {found} elements, but must have 20"));
            assert_eq!(values, vec![0.5; params]);
        }
        assert_eq!(state(&optimizer), before);
        assert_eq!(optimizer.steps(), 1);
    }
}

#[test]
fn a_bad_learning_rate_is_refused_and_the_old_one_stays() {
    let mut optimizer = Optimizer::new(AdamW::default(), 1).unwrap();
    for lr in [f64::NAN, -1.0, f64::INFINITY] {
        assert_eq!(name_of(&optimizer.set_lr(lr).unwrap_err()), "lr");
    }
    assert_eq!(optimizer.lr().to_bits(), AdamW::default().lr.to_bits());
    assert_eq!(*optimizer.rule(), AdamW::default());
}

#[test]
fn more_state_than_memory_is_an_error() {
    for len in [usize::MAX, isize::MAX as usize, usize::MAX / 8] {
        let error = Optimizer::new(AdamW::default(), len).unwrap_err();
        assert_eq!(error, Error::Memory { slots: 2, len });
        assert!(error.to_string().contains(&len.to_string()));
    }
}

#[test]
fn state_has_pytorchs_names() {
    let rmsprop = RmsProp::default();
    let rules: [(AnyRule, &[&str]); 8] = [
        (Sgd::default().into(), &[]),
        (Sgd { momentum: 0.1, ..Sgd::default() }.into(), &["momentum_buffer"]),
        (rmsprop.into(), &["square_avg"]),
        (RmsProp { momentum: 0.1, ..rmsprop }.into(), &["momentum_buffer", "square_avg"]),
        (RmsProp { centered: true, ..rmsprop }.into(), &["square_avg", "grad_avg"]),
        (
            RmsProp { centered: true, momentum: 0.1, ..rmsprop }.into(),
            &["momentum_buffer", "square_avg", "grad_avg"],
        ),
        (Adam::default().into(), &["exp_avg", "exp_avg_sq"]),
        (AdamW { amsgrad: true, ..AdamW::default() }.into(), &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]),
    ];
    for (rule, names) in rules {
        assert_eq!(rule.slots(), names, "{rule:?}");
    }
    let mut optimizer = Optimizer::new(Adam::default(), 1).unwrap();
    optimizer.step(&mut [1.0], &[1.0]).unwrap();
    assert_eq!(optimizer.state("exp_avg_s"), None);
    assert_eq!(optimizer.state("exp"), None);
    assert_ne!(optimizer.state("exp_avg"), optimizer.state("exp_avg_sq"));
}

#[test]
fn an_unknown_state_is_none() {
    let optimizer = Optimizer::new(Sgd::default(), 4).unwrap();
    assert_eq!(optimizer.state("momentum_buffer"), None);
    assert_eq!((optimizer.len(), optimizer.is_empty(), optimizer.steps()), (4, false, 0));
}
