//! State taken out of an optimizer and put into another.

use crate::cases::{FEW, assert_bits, hostile, ordinary};
use crate::variants::each_option;
use lanestep::{Adam, AdamW, AnyRule, Error, Group, Optimizer, RmsProp, Rule, Sgd, Tensor};

/// Another of the same groups, that goes on where this one is.
fn resumed(optimizer: &Optimizer<AnyRule>) -> Optimizer<AnyRule> {
    let mut other = Optimizer::with_groups(optimizer.groups().cloned(), optimizer.len()).unwrap();
    assert!(optimizer.state_names().eq(other.state_names()));
    for name in optimizer.state_names() {
        other.set_state(name, optimizer.state(name).unwrap()).unwrap();
    }
    other.set_steps(optimizer.steps());
    other.set_lr(optimizer.lr()).unwrap();
    for group in 0..optimizer.groups().len() {
        other.set_group_steps(group, optimizer.group_steps(group).unwrap()).unwrap();
    }
    other.set_ema(optimizer.ema_decay()).unwrap();
    if let Some(average) = optimizer.ema() {
        other.restore_ema(average).unwrap();
    }
    other
}

type Way = fn(&Optimizer<AnyRule>) -> Optimizer<AnyRule>;

/// Every way to another that goes on where this one is.
fn ways() -> Vec<Way> {
    vec![
        resumed,
        #[cfg(feature = "checkpoint")]
        crate::loaded::loaded,
    ]
}

#[test]
fn every_rule_goes_on_as_if_there_had_been_no_interruption() {
    ways().into_iter().for_each(goes_on);
}

fn goes_on(resumed: Way) {
    for (seed, rules) in (0..).zip(each_option().chunks(FEW)) {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let len = 37 * rules.len();
        let group = |(i, rule): (usize, &AnyRule)| Group::new(*rule, 37 * i..37 * i + 37);
        let mut optimizer = Optimizer::with_groups(rules.iter().enumerate().map(group), len).unwrap();
        if seed % 2 == 0 {
            optimizer.set_ema(0.75).unwrap();
        }
        let mut params = ordinary(rng, len);
        for step in 0..4 {
            let mut other = resumed(&optimizer);
            let mut others = params.clone();
            let grads = if step % 2 == 0 { ordinary(rng, len) } else { hostile(rng, len) };
            optimizer.set_frozen(0, step == 1).unwrap();
            other.set_frozen(0, step == 1).unwrap();
            optimizer.step(&mut params, &grads).unwrap();
            other.step(&mut others, &grads).unwrap();
            assert_bits(&others, &params, &(rules, step));
            for name in optimizer.state_names() {
                assert_bits(other.state(name).unwrap(), optimizer.state(name).unwrap(), &(rules, name));
            }
            assert_bits(other.ema().unwrap_or_default(), optimizer.ema().unwrap_or_default(), &rules);
            assert_eq!(
                (other.steps(), other.ema().is_some()),
                (optimizer.steps(), optimizer.ema().is_some())
            );
        }
    }
}

/// Also where it was saved at a learning rate of 0, as at the first step of a warm-up.
#[test]
fn proportions_of_learning_rates_go_on() {
    ways().into_iter().for_each(proportions_go_on);
}

fn proportions_go_on(resumed: Way) {
    let sgd = |lr| AnyRule::from(Sgd { lr, ..Sgd::default() });
    let groups = [Group::new(sgd(0.5), 0..1), Group { lr_scale: 0.5, ..Group::new(sgd(0.125), 1..2) }];
    let mut optimizer = Optimizer::with_groups(groups, 2).unwrap();
    for lr in [0.0, 0.3, 2.0] {
        optimizer.set_lr(lr).unwrap();
        let mut other = resumed(&optimizer);
        for lr in [lr, 1.0] {
            optimizer.set_lr(lr).unwrap();
            other.set_lr(lr).unwrap();
            assert_eq!([0, 1].map(|group| other.group_lr(group)), [Some(lr), Some(lr * 0.125)]);
            assert_eq!([0, 1].map(|group| optimizer.group_lr(group)), [Some(lr), Some(lr * 0.125)]);
        }
    }
}

#[test]
fn state_that_does_not_fit_is_refused_and_nothing_is_written() {
    let groups = [Group::new(AnyRule::from(Adam::default()), 0..2), Group::new(Sgd::default().into(), 2..4)];
    let mut optimizer = Optimizer::with_groups(groups, 4).unwrap();
    optimizer.step(&mut [1.0; 4], &[1.0; 4]).unwrap();
    let before = optimizer.clone();
    assert_eq!(optimizer.state_names().collect::<Vec<_>>(), ["exp_avg", "exp_avg_sq"]);
    let error = optimizer.set_state("momentum_buffer", &[0.0; 4]).unwrap_err();
    assert_eq!(
        error,
        Error::NoState { name: "momentum_buffer".into(), known: vec!["exp_avg", "exp_avg_sq"] }
    );
    let error = optimizer.set_state("exp_avg", &[0.0; 3]).unwrap_err();
    assert_eq!(error, Error::Length { what: "exp_avg", expected: 4, found: 3 });
    let error = optimizer.set_state("exp_avg", &[1.0, 2.0, 0.0, 3.0]).unwrap_err();
    assert_eq!(error, Error::Stateless { group: 1, name: "exp_avg", first: 3 });
    assert_eq!(optimizer.set_group_steps(2, 1), Err(Error::NoGroup { found: 2, groups: 2 }));
    for name in before.state_names() {
        assert_eq!(optimizer.state(name), before.state(name));
    }
    optimizer.set_state("exp_avg", &[f32::NAN, 1e-40, 0.0, 0.0]).unwrap();
    let found = optimizer.state("exp_avg").unwrap();
    assert!(found[0].is_nan() && found[1] == 0.0, "{found:?}");
}

/// At the first step, zero state moves to where it lies best.
#[test]
fn state_that_was_put_in_before_the_first_step_is_not_moved() {
    let (len, rule) = (5000, AnyRule::from(RmsProp { eps: 0.0, ..RmsProp::default() }));
    let ways = ways().into_iter().chain([(|optimizer| optimizer.clone()) as Way]);
    // Wherever the parameters begin in their page, which is where state would move away from.
    for (way, start) in ways.flat_map(|way| [(way, 0), (way, 500)]) {
        let ones = vec![1.0; len];
        let mut params = vec![0.0; start + len];
        let mut optimizer = Optimizer::new(rule, len).unwrap();
        optimizer.set_state("square_avg", &ones).unwrap();
        way(&optimizer).step(&mut params[start..], &ones).unwrap();
        assert!(params[start..].iter().all(|&p| p == -0.01), "the mean square was 1 and is");

        let mut optimizer = Optimizer::new(rule, len).unwrap();
        optimizer.set_ema(0.5).unwrap();
        optimizer.restore_ema(&ones).unwrap();
        let mut optimizer = way(&optimizer);
        optimizer.step(&mut params[start..], &ones).unwrap();
        let expected = 1.0 + 0.5 * (params[start] - 1.0);
        assert!(optimizer.ema().unwrap().iter().all(|&p| p == expected), "the average was 1");
    }
}

fn both<'a>(left: &'a mut [f32], right: &'a mut [f32]) -> [Tensor<'a>; 2] {
    [Tensor::of(left), Tensor::of(right)]
}

#[test]
fn the_average_and_the_parameters_change_places_and_back() {
    let mut optimizer = Optimizer::new(AdamW::default(), 40).unwrap();
    let rng = &mut fastrand::Rng::with_seed(1);
    let (mut left, mut right) = (ordinary(rng, 30), ordinary(rng, 10));
    let no_average = Err(Error::NoEma);
    assert_eq!(optimizer.swap_ema(&mut both(&mut left, &mut right)), no_average);
    assert_eq!(optimizer.restore_ema(&[1.0; 40]), no_average);
    optimizer.set_ema(0.9).unwrap();
    assert_eq!(optimizer.swap_ema(&mut both(&mut left, &mut right)), no_average, "of nothing yet");
    for _ in 0..3 {
        let mut params = [&left[..], &right].concat();
        optimizer.step(&mut params, &[1.0; 40]).unwrap();
        left.copy_from_slice(&params[..30]);
        right.copy_from_slice(&params[30..]);
    }
    let average = optimizer.ema().unwrap().to_vec();
    let before = (left.clone(), right.clone());
    let short = Error::Length { what: "params", expected: 40, found: 30 };
    assert_eq!(optimizer.swap_ema(&mut [Tensor::of(&mut left)]), Err(short));
    assert_eq!(left, before.0);

    optimizer.swap_ema(&mut both(&mut left, &mut right)).unwrap();
    assert_bits(&[&left[..], &right].concat(), &average, &"in place of the parameters");
    assert_eq!((optimizer.ema(), optimizer.ema_decay()), (None, Some(0.9)));
    let mut params = [&left[..], &right].concat();
    assert_eq!(optimizer.step(&mut params, &[1.0; 40]), Err(Error::Swapped));
    assert_bits(&params, &average, &"as it was");
    assert_eq!(optimizer.restore_ema(&average), Err(Error::Swapped));
    assert_eq!(optimizer.set_ema(None), Err(Error::Swapped));
    optimizer.set_ema(0.5).unwrap();

    let mut copy = optimizer.clone();
    optimizer.swap_ema(&mut both(&mut left, &mut right)).unwrap();
    assert_eq!((&left, &right), (&before.0, &before.1));
    left.copy_from_slice(&average[..30]);
    right.copy_from_slice(&average[30..]);
    copy.swap_ema(&mut both(&mut left, &mut right)).unwrap();
    assert_eq!((&left, &right), (&before.0, &before.1), "by a copy too");
    assert_bits(optimizer.ema().unwrap(), &average, &"in its own place");
    optimizer.set_ema(None).unwrap();
    assert_eq!((optimizer.ema(), optimizer.ema_decay()), (None, None));
    optimizer.step(&mut [0.0; 40], &[1.0; 40]).unwrap();
    assert_eq!(optimizer.ema(), None);
}

/// Steps in which nothing was counted before are counted on from anywhere, up to the last.
#[test]
fn steps_go_on_from_any_number() {
    for steps in [0, 1, 1000, 1 << 40, u64::MAX - 1, u64::MAX] {
        let rule = AnyRule::from(AdamW::default());
        let mut optimizer = Optimizer::new(rule, 2).unwrap();
        optimizer.set_steps(steps);
        optimizer.set_group_steps(0, steps).unwrap();
        let (mut params, mut expected) = ([1.0; 2], [1.0; 2]);
        optimizer.step(&mut params, &[0.5; 2]).unwrap();
        rule.reference(
            steps.saturating_add(1),
            &mut expected,
            &[0.5; 2],
            &mut vec![vec![0.0; 2]; rule.slots().len()],
        );
        assert_bits(&params, &expected, &steps);
        assert_eq!(optimizer.steps(), steps.saturating_add(1));
    }
}
