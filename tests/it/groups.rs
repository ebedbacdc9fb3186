//! Groups: what they hold, what is refused, and what becomes of them in the course of a run.

use crate::cases::{FEW, Run, assert_bits, ordinary};
use lanestep::rule::Shared;
use lanestep::{
    Adam, AdamW, AnyRule, Error, Formula, Group, Lane, Layout, Optimizer, RmsProp, Rule, Sgd, WithFormula,
};
use std::ops::Range;

fn group(range: Range<usize>) -> Group<AnyRule> {
    Group::new(AdamW::default().into(), range)
}

fn group_over(ranges: &[Range<usize>]) -> Group<AnyRule> {
    Group::over(AdamW::default().into(), ranges.iter().cloned())
}

fn descent() -> Sgd {
    Sgd { lr: 1.0, ..Sgd::default() }
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "that is what is to be refused")]
fn groups_hold_every_parameter_once() {
    let cases = [
        (vec![group(0..4), group(6..10)], Error::Gap { start: 4, end: 6, tensor: None }),
        (vec![group(1..10)], Error::Gap { start: 0, end: 1, tensor: None }),
        (vec![group(0..9)], Error::Gap { start: 9, end: 10, tensor: None }),
        (vec![], Error::Gap { start: 0, end: 10, tensor: None }),
        (vec![group(0..6), group(4..10)], Error::Overlap { groups: (0, 1), start: 4, end: 6, tensor: None }),
        (
            vec![group(4..10), group(0..10)],
            Error::Overlap { groups: (1, 0), start: 4, end: 10, tensor: None },
        ),
        (vec![group_over(&[0..10, 3..5])], Error::Overlap { groups: (0, 0), start: 3, end: 5, tensor: None }),
        (vec![group(0..11)], Error::OutOfRange { group: 0, start: 0, end: 11, len: 10 }),
        (vec![group(0..10), group(12..13)], Error::OutOfRange { group: 1, start: 12, end: 13, len: 10 }),
        (vec![group(0..10), group_over(&[])], Error::EmptyGroup { group: 1 }),
        (vec![group_over(&[0..10, 5..5])], Error::EmptyRange { group: 0, start: 5, end: 5 }),
        (vec![group_over(&[0..10, 7..5])], Error::EmptyRange { group: 0, start: 7, end: 5 }),
        (
            vec![group(0..10), group(usize::MAX..usize::MAX)],
            Error::EmptyRange { group: 1, start: usize::MAX, end: usize::MAX },
        ),
    ];
    for (groups, expected) in cases {
        assert_eq!(Optimizer::with_groups(groups, 10).unwrap_err(), expected);
    }
    assert!(Optimizer::with_groups([group_over(&[5..10, 0..2]), group(2..5)], 10).is_ok());
}

#[test]
fn errors_of_groups_read_well() {
    for (error, text) in [
        (Error::Gap { start: 4, end: 6, tensor: None }, "parameters 4..6 are in no group"),
        (
            Error::Overlap { groups: (0, 1), start: 4, end: 6, tensor: None },
            "parameters 4..6 are in group 0 and in group 1",
        ),
        (
            Error::OutOfRange { group: 0, start: 0, end: 11, len: 10 },
            "group 0 has parameters 0..11, but there are only 10",
        ),
        (Error::EmptyGroup { group: 1 }, "group 1 has no parameters: is there a name that it selects?"),
        (Error::EmptyRange { group: 1, start: 7, end: 5 }, "group 1 has a range without parameters, 7..5"),
        (Error::NoGroup { found: 3, groups: 2 }, "there is no group 3, but 2 in all"),
        (Error::Name { what: "tensors", name: "bias".into() }, "two tensors are named \"bias\""),
        (Error::TooManySlots { allowed: 16 }, "the rules name more than 16 state slots in all"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_bad_rule_in_any_group_is_refused() {
    let bad = Group::new(AdamW { lr: -1.0, ..AdamW::default() }.into(), 5..10);
    let error = Optimizer::with_groups([group(0..5), bad], 10).unwrap_err();
    assert_eq!(error.to_string(), "group 1: lr is -1, but must be in [0, f32::MAX]");
    for lr_scale in [-1.0, f64::NAN, f64::INFINITY, 1e38] {
        let rule = AdamW { lr: 1e30, ..AdamW::default() };
        let error = Optimizer::with_groups([Group { lr_scale, ..Group::new(rule, 0..10) }], 10).unwrap_err();
        let Error::Group { group: 0, error, .. } = error else { panic!("{error}") };
        assert!(matches!(*error, Error::Hyperparameter { name: "lr_scale" | "lr", .. }));
    }
}

/// Each group as an optimizer of its own.
#[test]
fn groups_do_not_know_of_each_other() {
    AnyRule::all().chunks(FEW).for_each(side_by_side);
}

fn side_by_side(rules: &[AnyRule]) {
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
    assert_eq!(params, [-2.25, -4.5]);
    assert!(optimizer.set_lr(-1.0).is_err());
    assert_eq!([0, 1].map(|group| optimizer.group_lr(group)), [Some(2.0), Some(4.0)]);
    assert_eq!(optimizer.groups().map(|group| group.rule.lr).collect::<Vec<_>>(), [0.25, 1.0], "as given");
}

/// As PyTorch's schedulers scale the rates that groups were given; also through 0, and where the first is given none.
#[test]
fn groups_keep_their_proportions() {
    let sgd = |lr| Sgd { lr, ..Sgd::default() };
    let rates = |optimizer: &Optimizer<Sgd>| [0, 1, 2].map(|group| optimizer.group_lr(group).unwrap());
    for given in [[0.5, 0.125, 2.0], [0.0, 0.5, 2.0], [0.1, 0.1, 0.1], [0.3, 0.0, 0.1], [0.0; 3]] {
        let groups = given.iter().enumerate().map(|(i, lr)| Group::new(sgd(*lr), i..i + 1));
        let mut optimizer = Optimizer::with_groups(groups, 3).unwrap();
        let first = given.into_iter().find(|lr| *lr > 0.0).unwrap_or(0.0);
        assert_eq!((rates(&optimizer), optimizer.lr()), (given, first));
        for lr in [0.25, 0.0, 1.0, 0.7] {
            optimizer.set_lr(lr).unwrap();
            let expected = given.map(|own| if first > 0.0 { lr * (own / first) } else { lr });
            assert_eq!((rates(&optimizer), optimizer.lr()), (expected, lr));
            optimizer.set_group_lr(1, 5.0).unwrap(); // until the next
            assert_eq!(optimizer.group_lr(1), Some(5.0));
        }
        optimizer.set_rule(2, sgd(first * 3.0)).unwrap();
        optimizer.set_lr(1.0).unwrap();
        assert_eq!(optimizer.group_lr(2), Some(if first > 0.0 { first * 3.0 / first } else { 1.0 }));
        assert_eq!(optimizer.group_lr(3), None);
    }
}

/// One group allows a learning rate that another does not: neither has it then.
#[test]
fn a_learning_rate_is_set_everywhere_or_nowhere() {
    let steep = Group { lr_scale: 1e30, ..Group::new(Sgd { lr: 1e-30, ..Sgd::default() }, 1..2) };
    let groups = [Group::new(Sgd { lr: 0.25, ..Sgd::default() }, 0..1), steep];
    let mut optimizer = Optimizer::with_groups(groups, 2).unwrap();
    let error = optimizer.set_lr(1e38).unwrap_err();
    assert!(matches!(error, Error::Group { group: 1, tensor: None, .. }), "{error}");
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
    assert!(matches!(Layout::new([("a", usize::MAX), ("b", 1)]), Err(Error::TooManyElements { .. })));
}

/// Steps by each rule in turn, the reference beside it with the state that is said to be carried over. The group has two
/// ranges, a scale of its own, and beside it a group that has the same slots for ever.
#[test]
fn switching_carries_over_what_means_the_same() {
    let momentum = Sgd { momentum: 0.9, ..Sgd::default() };
    let centered = RmsProp { centered: true, momentum: 0.5, ..RmsProp::default() };
    let averages: &[(&str, &str)] = &[("exp_avg", "exp_avg"), ("exp_avg_sq", "exp_avg_sq")];
    type Carried = Option<&'static [(&'static str, &'static str)]>; // from, to; `None` begins anew
    let chain: [(AnyRule, Carried); 11] = [
        (momentum.into(), None),
        (Adam::default().into(), None),
        (AdamW::default().into(), Some(averages)),
        (Adam { amsgrad: true, ..Adam::default() }.into(), Some(averages)),
        (centered.into(), Some(&[("exp_avg_sq", "square_avg")])),
        (
            RmsProp { centered: false, ..centered }.into(),
            Some(&[("square_avg", "square_avg"), ("momentum_buffer", "momentum_buffer")]),
        ),
        (momentum.into(), None), // the other's buffer is of updates
        (Sgd { momentum: 0.5, ..momentum }.into(), Some(&[("momentum_buffer", "momentum_buffer")])),
        (Sgd::default().into(), None),
        (Sgd { weight_decay: 0.5, ..Sgd::default() }.into(), Some(&[])),
        (AdamW::default().into(), None),
    ];
    let (len, lr_scale) = (60, 0.5);
    let here = [10..20, 40..50];
    let still = Group::over(AnyRule::from(Adam { amsgrad: true, ..Adam::default() }), [0..10, 20..40]);
    let others = RmsProp { centered: true, momentum: 0.5, ..RmsProp::default() };
    let others = Group::new(AnyRule::from(others), 50..len);
    let first = Group { lr_scale, ..Group::over(chain[0].0, here.clone()) };
    let mut optimizer = Optimizer::with_groups([first, still.clone(), others.clone()], len).unwrap();
    let gather = |all: &[f32], group: &Group<AnyRule>| -> Vec<f32> {
        group.ranges.iter().flat_map(|range| &all[range.clone()]).copied().collect()
    };
    let biased = |seed: u64| -> Vec<f32> {
        ordinary(&mut fastrand::Rng::with_seed(seed), len).iter().map(|g| 1.0 + 0.05 * g).collect()
    };
    let mut params = biased(0);
    let mut models: Vec<_> = [&Group::over(chain[0].0, here.clone()), &still, &others]
        .map(|group| {
            let params = gather(&params, group);
            let state: Vec<_> =
                group.rule.slots().iter().map(|name| (*name, vec![0.0; params.len()])).collect();
            (group.clone(), 0, params, state)
        })
        .into();
    for (i, (rule, carried)) in chain.iter().enumerate() {
        if i > 0 {
            optimizer.set_rule(0, *rule).unwrap();
            let (group, t, params, state) = &mut models[0];
            let slot = |name: &&'static str| {
                let from =
                    carried.unwrap_or_default().iter().find(|(_, to)| to == name).map(|(from, _)| from);
                let old = from.map(|from| state.iter().find(|(name, _)| name == from).unwrap().1.clone());
                (*name, old.unwrap_or(vec![0.0; params.len()]))
            };
            *state = rule.slots().iter().map(slot).collect();
            *t = if carried.is_none() { 0 } else { *t };
            group.rule = *rule;
        }
        let group = optimizer.groups().next().unwrap();
        assert_eq!((group.lr_scale, &group.ranges[..], group.rule), (lr_scale, &here[..], *rule));
        for step in 0..20 {
            for (k, (group, t, _, state)) in models.iter().enumerate() {
                assert_eq!(optimizer.group_steps(k), Some(*t));
                for name in
                    ["exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "momentum_buffer"]
                {
                    let found = gather(optimizer.state(name).unwrap_or(&[0.0; 60]), group);
                    let expected =
                        state.iter().find(|(of, _)| *of == name).map(|(_, numbers)| numbers.clone());
                    assert_bits(&found, &expected.unwrap_or(vec![0.0; found.len()]), &(i, step, k, name));
                }
            }
            let grads = biased(100 * i as u64 + step);
            optimizer.step(&mut params, &grads).unwrap();
            for (k, (group, t, expected, state)) in models.iter_mut().enumerate() {
                *t += 1;
                let mut rule = group.rule;
                rule.set_lr(rule.shared().lr * if k == 0 { lr_scale } else { 1.0 });
                let (names, mut slots): (Vec<_>, Vec<_>) = std::mem::take(state).into_iter().unzip();
                rule.reference(*t, expected, &gather(&grads, group), &mut slots);
                *state = names.into_iter().zip(slots).collect();
                assert_bits(&gather(&params, group), expected, &(i, step, k));
                assert!(expected.iter().all(|p| p.is_finite()), "{i} {step} {k}");
            }
        }
    }
}

/// As many slots as are asked for, named by letters.
#[derive(Clone, Debug, PartialEq)]
struct Letters {
    names: &'static [&'static str],
    lr: f64,
    /// Named instead where the learning rate is 0.
    without_lr: &'static [&'static str],
}

impl Letters {
    fn new(names: &'static [&'static str]) -> Self {
        Self { names, lr: 1.0, without_lr: names }
    }
}

#[derive(Clone, Copy)]
struct Count;

impl<const S: usize> Formula<S> for Count {
    fn update<L: Lane>(&self, p: L, _g: L, s: [L; S]) -> (L, [L; S]) {
        (p + 1.0, s.map(|s| s + 1.0))
    }
}

impl Rule for Letters {
    fn slots(&self) -> &'static [&'static str] {
        if self.lr == 0.0 { self.without_lr } else { self.names }
    }

    fn shared(&self) -> Shared {
        Shared::new(self.lr)
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        match self.slots().len() {
            0 => with.formula::<_, 0>(Count),
            1 => with.formula::<_, 1>(Count),
            4 => with.formula::<_, 4>(Count),
            8 => with.formula::<_, 8>(Count),
            16 => with.formula::<_, 16>(Count),
            20 => with.formula::<_, 20>(Count),
            _ => with.formula::<_, 17>(Count),
        }
    }
}

/// While both are there, old and new slots are more than an optimizer has room for.
#[test]
fn a_switch_may_exchange_all_sixteen_slots() {
    let names = |first: usize, len: usize| -> Letters {
        let names = (first..first + len).map(|i| &*format!("slot {i}").leak());
        Letters::new(names.collect::<Vec<_>>().leak())
    };
    let too_many = Error::TooManySlots { allowed: 16 };
    assert_eq!(Optimizer::new(names(0, 20), 600).unwrap_err(), too_many);
    let mut optimizer = Optimizer::new(names(0, 16), 600).unwrap();
    optimizer.set_ema(0.5).unwrap();
    optimizer.step(&mut [1.0; 600], &[0.5; 600]).unwrap();
    optimizer.set_rule(0, names(16, 16)).unwrap();
    optimizer.step(&mut [1.0; 600], &[0.5; 600]).unwrap();
    assert_eq!(optimizer.state("slot 15"), None);
    assert_eq!(optimizer.state("slot 31"), Some(&[1.0; 600][..]));
}

#[test]
fn there_are_sixteen_slots_and_a_switch_may_free_some() {
    let all = &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"];
    let too_many = Error::TooManySlots { allowed: 16 };
    assert_eq!(Optimizer::new(Letters::new(all), 2).unwrap_err(), too_many);
    let (left, right) = (Letters::new(&all[..8]), Letters::new(&all[8..16]));
    let groups = [Group::new(left.clone(), 0..3), Group::new(right, 3..5)];
    let mut optimizer = Optimizer::with_groups(groups, 5).unwrap();
    optimizer.step(&mut [0.0; 5], &[0.0; 5]).unwrap();
    assert_eq!(optimizer.state("d"), Some(&[1.0, 1.0, 1.0, 0.0, 0.0][..]));
    assert_eq!(optimizer.set_rule(0, Letters::new(all)), Err(too_many));
    assert_eq!(optimizer.state("q"), None);
    assert_eq!((optimizer.groups().next().unwrap().rule.clone(), optimizer.group_steps(0)), (left, Some(1)));
    optimizer.set_rule(0, Letters::new(&["q", "c", "b", "a", "e", "f", "g", "h"])).unwrap();
    assert_eq!((optimizer.state("d"), optimizer.state("q")), (None, Some(&[0.0; 5][..])));
    optimizer.step(&mut [0.0; 5], &[0.0; 5]).unwrap();
    for (name, expected) in
        [("a", [2.0, 2.0, 2.0, 0.0, 0.0]), ("q", [1.0, 1.0, 1.0, 0.0, 0.0]), ("p", [0.0, 0.0, 0.0, 2.0, 2.0])]
    {
        assert_eq!(optimizer.state(name), Some(&expected[..]), "{name}");
    }
    let twice = Letters::new(&["a", "b", "c", "a"]);
    let named_twice = Error::Name { what: "state slots", name: "a".into() };
    assert_eq!(optimizer.set_rule(1, twice.clone()), Err(named_twice.clone()));
    assert_eq!(Optimizer::new(twice, 1).unwrap_err(), named_twice);
}

#[test]
fn slots_that_change_with_the_learning_rate_are_an_error() {
    let rule = Letters { without_lr: &[], ..Letters::new(&["a"]) };
    let mut optimizer = Optimizer::new(rule.clone(), 2).unwrap();
    assert_eq!(optimizer.set_lr(0.0), Err(Error::Slots { expected: 1, found: 0 }));
    assert_eq!(optimizer.set_group_lr(0, 0.0), Err(Error::Slots { expected: 1, found: 0 }));
    let scaled = Group { lr_scale: 0.0, ..Group::new(rule, 0..2) };
    let error = Box::new(Error::Slots { expected: 1, found: 0 });
    let expected = Error::Group { group: 0, tensor: None, error };
    assert_eq!(Optimizer::with_groups([scaled], 2).unwrap_err(), expected);
    assert_eq!(optimizer.step(&mut [0.0; 2], &[0.0; 2]), Ok(()));
}

#[test]
fn one_groups_learning_rate_can_be_changed_alone() {
    let sgd = Sgd { lr: 1.0, ..Sgd::default() };
    let mut optimizer =
        Optimizer::with_groups([Group::new(sgd, 0..1), Group { lr_scale: 0.5, ..Group::new(sgd, 1..2) }], 2)
            .unwrap();
    optimizer.set_group_lr(1, 4.0).unwrap();
    let mut params = [0.0; 2];
    optimizer.step(&mut params, &[1.0; 2]).unwrap();
    assert_eq!(params, [-1.0, -2.0]);
    assert!(matches!(optimizer.set_group_lr(1, -1.0), Err(Error::Hyperparameter { name: "lr", .. })));
    assert_eq!(optimizer.set_group_lr(2, 1.0), Err(Error::NoGroup { found: 2, groups: 2 }));
    assert_eq!([0, 1].map(|group| optimizer.group_lr(group)), [Some(1.0), Some(2.0)]);
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

#[test]
fn steps_are_counted_even_if_all_is_frozen() {
    let mut optimizer =
        Optimizer::with_groups([Group { frozen: true, ..Group::new(descent(), 0..1) }], 1).unwrap();
    optimizer.step(&mut [1.0], &[1.0]).unwrap();
    assert_eq!((optimizer.steps(), optimizer.group_steps(0)), (1, Some(0)));
}

#[test]
fn no_groups_are_refused_even_for_no_parameters() {
    assert_eq!(
        Optimizer::<Sgd>::with_groups([], 0).unwrap_err(),
        Error::Gap { start: 0, end: 0, tensor: None }
    );
}

#[test]
fn an_overlap_of_one_is_refused() {
    let groups = [Group::new(descent(), 0..6), Group::new(descent(), 5..10)];
    assert_eq!(
        Optimizer::with_groups(groups, 10).unwrap_err(),
        Error::Overlap { groups: (0, 1), start: 5, end: 6, tensor: None }
    );
}

#[test]
fn a_switch_keeps_scale_and_frost_and_takes_the_new_learning_rate() {
    let group = Group { lr_scale: 0.5, frozen: true, ..Group::new(descent(), 0..1) };
    let mut optimizer = Optimizer::with_groups([group], 1).unwrap();
    optimizer.set_rule(0, Sgd { lr: 4.0, ..descent() }).unwrap();
    let mut params = [0.0];
    optimizer.step(&mut params, &[1.0]).unwrap();
    assert_eq!(params, [0.0]);
    optimizer.set_frozen(0, false).unwrap();
    optimizer.step(&mut params, &[1.0]).unwrap();
    assert_eq!((params, optimizer.lr(), optimizer.rule().lr), ([-2.0], 4.0, 4.0));
}

#[test]
fn a_switch_touches_its_own_ranges_alone_and_all_of_them() {
    let adam = AnyRule::from(Adam::default());
    let rms = AnyRule::from(RmsProp::default());
    let groups = [Group::over(adam, [0..1, 3..4]), Group::new(rms, 1..2), Group::new(adam, 2..3)];
    let mut optimizer = Optimizer::with_groups(groups, 4).unwrap();
    optimizer.step(&mut [1.0; 4], &[1.0; 4]).unwrap();
    let before = optimizer.clone();
    optimizer.set_rule(0, RmsProp::default()).unwrap();
    let (old, new) = (before.state("exp_avg_sq").unwrap(), optimizer.state("square_avg").unwrap());
    assert_eq!((new[0], new[3], new[1]), (old[0], old[3], before.state("square_avg").unwrap()[1]));
    optimizer.set_rule(0, Sgd::default()).unwrap();
    optimizer.set_rule(0, Adam::default()).unwrap();
    let state = optimizer.state("exp_avg").unwrap();
    assert_eq!((state[0], state[3], state[2]), (0.0, 0.0, before.state("exp_avg").unwrap()[2]));
}

/// Documented at `Optimizer::state`: "zero in groups whose rule has no such slot".
#[test]
fn state_is_zero_where_the_rule_has_no_such_slot() {
    let adam = AnyRule::from(Adam::default());
    let mut optimizer = Optimizer::with_groups([Group::new(adam, 0..1), Group::new(adam, 1..2)], 2).unwrap();
    optimizer.step(&mut [1.0; 2], &[1.0; 2]).unwrap();
    optimizer.set_rule(0, Sgd::default()).unwrap();
    assert_eq!(optimizer.state("exp_avg").unwrap()[0], 0.0);
}

#[test]
fn learning_rates_are_told_unscaled_and_set_in_frozen_groups() {
    let group = Group { lr_scale: 0.5, frozen: true, ..Group::new(descent(), 0..1) };
    let mut optimizer = Optimizer::with_groups([group], 1).unwrap();
    assert_eq!((optimizer.lr(), optimizer.rule().lr), (1.0, 1.0));
    optimizer.set_lr(3.0).unwrap();
    assert_eq!((optimizer.lr(), optimizer.group_lr(0), optimizer.rule().lr), (3.0, Some(1.5), 1.0));
}

#[test]
fn layout_names() {
    let layout = Layout::new([("weights", 1), ("weight", 2)]).unwrap();
    assert_eq!((layout.range("weight"), layout.range("wei")), (Some(1..3), None));
    assert!(Layout::new([("a", 1), ("b", 1), ("a", 1)]).is_err());
}

#[test]
fn a_negative_scale_of_no_learning_rate_is_refused() {
    let group = Group { lr_scale: -1.0, ..Group::new(Sgd { lr: 0.0, ..Sgd::default() }, 0..1) };
    let error = Optimizer::with_groups([group], 1).unwrap_err();
    assert_eq!(error.to_string(), "group 0: lr_scale is -1, but must be in [0, f32::MAX]");
}

#[test]
fn slots_that_no_rule_names_are_freed_at_once() {
    let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), 1).unwrap();
    optimizer.set_rule(0, Sgd::default()).unwrap();
    assert_eq!(optimizer.state("exp_avg"), None);
}

#[test]
fn the_other_groups_find_their_slots_after_one_was_freed() {
    let sgd = AnyRule::from(descent());
    let groups = [Group::new(sgd, 0..1), Group::new(Adam::default().into(), 1..2)];
    let mut optimizer = Optimizer::with_groups(groups, 2).unwrap();
    optimizer.set_rule(0, Sgd { momentum: 0.5, ..descent() }).unwrap();
    optimizer.set_rule(1, descent()).unwrap();
    optimizer.step(&mut [0.0; 2], &[1.0; 2]).unwrap();
    assert_eq!(optimizer.state("momentum_buffer"), Some(&[1.0, 0.0][..]));
}

/// What is carried over beside what starts from zero must go together: divided by the root of too young a mean square, an
/// old average is too long by far.
#[test]
fn no_rule_leaps_when_it_takes_over() {
    const N: usize = 20;
    const STEPS: usize = 300;
    let grads = |t: usize| -> Vec<f32> {
        let rng = &mut fastrand::Rng::with_seed(t as u64);
        ordinary(rng, N).iter().map(|g| 1.0 + 0.2 * g).collect()
    };
    let longest = |optimizer: &mut Optimizer<AnyRule>, steps: std::ops::Range<usize>| {
        let mut params = vec![1.0; N];
        let mut longest = 0_f32;
        for t in steps {
            let before = params.clone();
            optimizer.step(&mut params, &grads(t)).unwrap();
            let moved = params.iter().zip(&before).map(|(after, before)| (after - before).abs());
            longest = moved.fold(longest, |longest, moved| if moved > longest { moved } else { longest });
        }
        longest
    };
    let mut leaps: Vec<String> = vec![];
    for to in AnyRule::all() {
        let alone = longest(&mut Optimizer::new(to, N).unwrap(), 0..STEPS);
        for from in AnyRule::all() {
            let mut optimizer = Optimizer::new(from, N).unwrap();
            longest(&mut optimizer, 0..STEPS);
            optimizer.set_rule(0, to).unwrap();
            let found = longest(&mut optimizer, STEPS..STEPS + 10);
            if found > 2.0 * alone {
                leaps.push(format!("{} to {}: {found}, alone {alone}", from.name(), to.name()));
            }
        }
    }
    assert!(leaps.is_empty(), "what is carried over should have another Rule::meaning: {leaps:#?}");
}
