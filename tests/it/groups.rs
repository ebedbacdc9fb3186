//! Groups: what they hold, what is refused, and what becomes of them in the course of a run.

use crate::cases::{Run, assert_bits, ordinary};
use lanestep::{Adam, AdamW, AnyRule, Error, Group, Layout, Optimizer, RmsProp, Rule, Sgd};
use std::ops::Range;

fn group(range: Range<usize>) -> Group<AnyRule> {
    Group::new(AdamW::default().into(), range)
}

fn group_over(ranges: &[Range<usize>]) -> Group<AnyRule> {
    Group::over(AdamW::default().into(), ranges.iter().cloned())
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "that is what is to be refused")]
fn groups_hold_every_parameter_once() {
    let cases = [
        (vec![group(0..4), group(6..10)], Error::Gap { start: 4, end: 6 }),
        (vec![group(1..10)], Error::Gap { start: 0, end: 1 }),
        (vec![group(0..9)], Error::Gap { start: 9, end: 10 }),
        (vec![], Error::Gap { start: 0, end: 10 }),
        (vec![group(0..6), group(4..10)], Error::Overlap { groups: (0, 1), start: 4, end: 6 }),
        (vec![group(4..10), group(0..10)], Error::Overlap { groups: (1, 0), start: 4, end: 10 }),
        (vec![group_over(&[0..10, 3..5])], Error::Overlap { groups: (0, 0), start: 3, end: 5 }),
        (vec![group(0..11)], Error::OutOfRange { group: 0, start: 0, end: 11, len: 10 }),
        (vec![group(0..10), group(12..13)], Error::OutOfRange { group: 1, start: 12, end: 13, len: 10 }),
        (vec![group(0..10), group_over(&[])], Error::EmptyGroup { group: 1 }),
        (vec![group_over(&[0..10, 5..5])], Error::EmptyGroup { group: 0 }),
        (vec![group_over(&[0..10, 7..5])], Error::EmptyGroup { group: 0 }),
        (vec![group(0..10), group(usize::MAX..usize::MAX)], Error::EmptyGroup { group: 1 }),
    ];
    for (groups, expected) in cases {
        assert_eq!(Optimizer::with_groups(groups, 10).unwrap_err(), expected);
    }
    assert!(Optimizer::with_groups([group_over(&[5..10, 0..2]), group(2..5)], 10).is_ok());
}

#[test]
fn errors_of_groups_read_well() {
    for (error, text) in [
        (Error::Gap { start: 4, end: 6 }, "parameters 4..6 are in no group"),
        (
            Error::Overlap { groups: (0, 1), start: 4, end: 6 },
            "parameters 4..6 are in group 0 and in group 1",
        ),
        (
            Error::OutOfRange { group: 0, start: 0, end: 11, len: 10 },
            "group 0 has parameters 0..11, but there are only 10",
        ),
        (Error::EmptyGroup { group: 1 }, "group 1 has a range without parameters, or no range"),
        (Error::NoGroup { found: 3, groups: 2 }, "there is no group 3, but 2 in all"),
        (Error::Name { what: "tensors", name: "bias".into() }, "two tensors are named \"bias\""),
        (Error::TooManySlots { allowed: 8 }, "the rules name more than 8 state slots in all"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_bad_rule_in_any_group_is_refused() {
    let bad = Group::new(AdamW { lr: -1.0, ..AdamW::default() }.into(), 5..10);
    let error = Optimizer::with_groups([group(0..5), bad], 10).unwrap_err();
    assert!(matches!(error, Error::Hyperparameter { name: "lr", .. }));
    for lr_scale in [-1.0, f64::NAN, f64::INFINITY, 1e38] {
        let rule = AdamW { lr: 1e30, ..AdamW::default() };
        let error = Optimizer::with_groups([Group { lr_scale, ..Group::new(rule, 0..10) }], 10);
        assert!(matches!(error.unwrap_err(), Error::Hyperparameter { name: "lr_scale" | "lr", .. }));
    }
}

/// Each group as an optimizer of its own.
#[test]
fn groups_do_not_know_of_each_other() {
    let rules = AnyRule::all();
    let len = 37 * rules.len();
    let groups = rules.iter().enumerate().map(|(i, rule)| Group::new(*rule, 37 * i..37 * i + 37));
    let mut optimizer = Optimizer::with_groups(groups, len).unwrap();
    let runs: Vec<_> =
        rules.iter().zip(0..).map(|(rule, seed)| Run::new(*rule, 37, 5, seed, ordinary)).collect();
    let mut params: Vec<f32> = runs.iter().flat_map(|run| run.params.clone()).collect();
    for t in 0..5 {
        let grads: Vec<f32> = runs.iter().flat_map(|run| run.grads[t].clone()).collect();
        optimizer.step(&mut params, &grads).unwrap();
    }
    for (i, run) in runs.iter().enumerate() {
        let expected = run.reference();
        let here = 37 * i..37 * i + 37;
        assert_bits(&params[here.clone()], &expected.params, &run.rule);
        for (name, expected) in run.rule.slots().iter().zip(&expected.state) {
            assert_bits(&optimizer.state(name).unwrap()[here.clone()], expected, &(run.rule, name));
        }
    }
}

#[test]
fn a_groups_learning_rate_is_its_rules_times_its_scale() {
    let slow = Group { lr_scale: 0.5, ..Group::new(Sgd { lr: 1.0, ..Sgd::default() }, 1..2) };
    let groups = [Group::new(Sgd { lr: 0.25, ..Sgd::default() }, 0..1), slow];
    let mut optimizer = Optimizer::with_groups(groups, 2).unwrap();
    let mut params = [0.0; 2];
    optimizer.step(&mut params, &[1.0; 2]).unwrap();
    assert_eq!(params, [-0.25, -0.5]);
    assert_eq!(optimizer.lr(), 0.25);
    optimizer.set_lr(2.0).unwrap();
    optimizer.step(&mut params, &[1.0; 2]).unwrap();
    assert_eq!(params, [-2.25, -1.5]);
    assert!(optimizer.set_lr(-1.0).is_err());
    assert_eq!(optimizer.groups().map(|group| group.rule.lr).collect::<Vec<_>>(), [2.0, 2.0]);
}

/// One group allows a learning rate that another does not: neither has it then.
#[test]
fn a_learning_rate_is_set_everywhere_or_nowhere() {
    let steep = Group { lr_scale: 1e30, ..Group::new(Sgd { lr: 1e-30, ..Sgd::default() }, 1..2) };
    let groups = [Group::new(Sgd { lr: 0.25, ..Sgd::default() }, 0..1), steep];
    let mut optimizer = Optimizer::with_groups(groups, 2).unwrap();
    assert!(matches!(optimizer.set_lr(1e30), Err(Error::Hyperparameter { name: "lr", .. })));
    assert_eq!(optimizer.groups().map(|group| group.rule.lr).collect::<Vec<_>>(), [0.25, 1e-30]);
}

#[test]
fn a_frozen_group_is_left_alone_and_its_steps_are_not_counted() {
    let adam = Adam { lr: 0.5, ..Adam::default() };
    let mut optimizer =
        Optimizer::with_groups([Group::new(adam, 0..1), Group { frozen: true, ..Group::new(adam, 1..2) }], 2)
            .unwrap();
    let mut params = [0.0; 2];
    for _ in 0..3 {
        optimizer.step(&mut params, &[1.0, f32::NAN]).unwrap();
    }
    assert_eq!((params[1], optimizer.state("exp_avg").unwrap()[1]), (0.0, 0.0));
    assert_eq!(
        (optimizer.steps(), optimizer.group_steps(0), optimizer.group_steps(1)),
        (3, Some(3), Some(0))
    );
    optimizer.set_frozen(0, true).unwrap();
    optimizer.set_frozen(1, false).unwrap();
    let before = params[0];
    optimizer.step(&mut params, &[1.0, 1.0]).unwrap();
    // The first step of Adam is lr by the sign: its steps are counted from here.
    assert!(params[0] == before && (params[1] + 0.5).abs() < 1e-6, "{params:?}");
    assert_eq!(optimizer.set_frozen(2, true), Err(Error::NoGroup { found: 2, groups: 2 }));
}

#[test]
fn names_stand_for_ranges() {
    let layout = Layout::new([("a", 3), ("b", 0), ("c", 2)]).unwrap();
    assert_eq!((layout.range("c"), layout.range("b"), layout.range("d")), (Some(3..5), Some(3..3), None));
    assert_eq!(layout.select(|name| name != "a").first(), Some(&(3..5)));
    assert_eq!((layout.len(), layout.is_empty(), layout.iter().count()), (5, false, 3));
    assert!(Layout::default().is_empty());
    let error = Layout::new([("a", 3), ("a", 1)]).unwrap_err();
    assert_eq!(error, Error::Name { what: "tensors", name: "a".into() });
    assert!(matches!(Layout::new([("a", usize::MAX), ("b", 1)]), Err(Error::Memory { .. })));
}

/// Steps by each rule in turn, the reference beside it with the state that is said to be carried over.
#[test]
fn switching_carries_over_what_means_the_same() {
    let momentum = Sgd { momentum: 0.9, ..Sgd::default() };
    let centered = RmsProp { centered: true, ..RmsProp::default() };
    let chain: [(AnyRule, &[(&str, &str)]); 8] = [
        (momentum.into(), &[]),
        (Adam::default().into(), &[]),
        (AdamW::default().into(), &[("exp_avg", "exp_avg"), ("exp_avg_sq", "exp_avg_sq")]),
        (
            Adam { amsgrad: true, ..Adam::default() }.into(),
            &[("exp_avg", "exp_avg"), ("exp_avg_sq", "exp_avg_sq")],
        ),
        (centered.into(), &[("exp_avg_sq", "square_avg"), ("exp_avg", "grad_avg")]),
        (AdamW::default().into(), &[("square_avg", "exp_avg_sq"), ("grad_avg", "exp_avg")]),
        (momentum.into(), &[]),
        (Sgd { momentum: 0.5, ..momentum }.into(), &[("momentum_buffer", "momentum_buffer")]),
    ];
    let len = 40;
    let still = Group::new(AnyRule::from(Adam { amsgrad: true, ..Adam::default() }), 20..len);
    let mut optimizer = Optimizer::with_groups([Group::new(chain[0].0, 0..20), still.clone()], len).unwrap();
    let mut params = ordinary(&mut fastrand::Rng::with_seed(0), len);
    let mut expected = params.clone();
    let mut alone = vec![vec![0.0; 20]; 3];
    let mut state: Vec<(&str, Vec<f32>)> = vec![];
    let (mut t, mut all) = (0, 0);
    for (i, (rule, carried)) in chain.iter().enumerate() {
        if i > 0 {
            optimizer.set_rule(0, *rule).unwrap();
        }
        let slot = |name: &&'static str| {
            let from = carried.iter().find(|(_, to)| to == name).map(|(from, _)| from);
            let old = from.map(|from| state.iter().find(|(name, _)| name == from).unwrap().1.clone());
            (*name, old.unwrap_or(vec![0.0; 20]))
        };
        state = rule.slots().iter().map(slot).collect();
        t = if carried.is_empty() { 0 } else { t };
        for (name, expected) in &state {
            assert_bits(&optimizer.state(name).unwrap()[..20], expected, &(i, name));
        }
        for step in 0..3 {
            let grads = ordinary(&mut fastrand::Rng::with_seed(10 * i as u64 + step), len);
            (t, all) = (t + 1, all + 1);
            optimizer.step(&mut params, &grads).unwrap();
            let (names, mut slots): (Vec<_>, Vec<_>) = state.into_iter().unzip();
            rule.reference(t, &mut expected[..20], &grads[..20], &mut slots);
            state = names.into_iter().zip(slots).collect();
            still.rule.reference(all, &mut expected[20..], &grads[20..], &mut alone);
        }
        assert_bits(&params, &expected, &(i, rule));
        assert_eq!((optimizer.group_steps(0), optimizer.steps()), (Some(t), all));
    }
    assert_eq!(optimizer.state("square_avg"), None);
}

#[test]
fn a_switch_that_fails_changes_nothing() {
    let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 2).unwrap();
    optimizer.step(&mut [1.0; 2], &[1.0; 2]).unwrap();
    assert!(optimizer.set_rule(0, Sgd { lr: -1.0, ..Sgd::default() }).is_err());
    assert_eq!(optimizer.set_rule(1, Sgd::default()), Err(Error::NoGroup { found: 1, groups: 1 }));
    assert_eq!((*optimizer.rule(), optimizer.group_steps(0)), (Adam::default().into(), Some(1)));
    assert_ne!(optimizer.state("exp_avg"), Some(&[0.0; 2][..]));
}
