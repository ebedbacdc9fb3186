//! What each option means, in numbers worked out by hand: a mistake made alike in the formula and in `reference` shows
//! here.

use lanestep::rule::bias_correction;
use lanestep::{
    Adadelta, Adagrad, Adam, Adamax, Asgd, Error, NAdam, Optimizer, RAdam, RmsProp, Rprop, Rule, Sgd,
    reference,
};

fn run<R: Rule>(rule: R, params: &[f32], grads: &[&[f32]]) -> (Vec<f32>, Optimizer<R>) {
    let mut optimizer = Optimizer::new(rule, params.len()).unwrap();
    let mut params = params.to_vec();
    for grads in grads {
        optimizer.step(&mut params, grads).unwrap();
    }
    (params, optimizer)
}

/// To within the rounding of a few operations.
fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-6 * (1.0 + expected.abs()), "{found}, expected {expected}");
    }
}

#[test]
fn amsgrad_divides_by_the_largest_so_far() {
    let betas = (0.0, 0.5);
    let rule = Adam { lr: 0.5, betas, eps: 0.0, bias_correction: false, amsgrad: true, ..Adam::default() };
    let (params, optimizer) = run(rule, &[0.0], &[&[2.0], &[0.0], &[0.5]]);
    assert_eq!(optimizer.state("exp_avg_sq").unwrap(), [0.625]);
    assert_eq!(optimizer.state("max_exp_avg_sq").unwrap(), [2.0]);
    assert!((params[0] + 1.25 / 2_f32.sqrt()).abs() < 1e-6);
}

#[test]
fn without_bias_correction_the_averages_are_taken_as_they_are() {
    let rule = Adam { lr: 1.0, betas: (0.5, 0.0), eps: 0.0, bias_correction: false, ..Adam::default() };
    assert_eq!(run(rule, &[0.0], &[&[3.0]]).0, [-0.5]);
    assert_eq!(run(Adam { bias_correction: true, ..rule }, &[0.0], &[&[3.0]]).0, [-1.0]);
}

#[test]
fn clipping_clamps_and_decay_pulls_towards_zero() {
    let sgd = Sgd { lr: 1.0, ..Sgd::default() };
    let clipped = Sgd { clip_value: Some(0.5), ..sgd };
    assert_eq!(run(clipped, &[0.0; 4], &[&[2.0, -2.0, 0.25, -0.5]]).0, [-0.5, 0.5, -0.25, 0.5]);
    let climbing = Sgd { maximize: true, l1_decay: 0.25, ..clipped };
    assert_eq!(run(climbing, &[1.0, -1.0, 0.0], &[&[2.0; 3]]).0, [1.25, -0.25, 0.5]);
    let decaying = Sgd { lr: 0.5, weight_decay: 0.5, l1_decay: 0.25, ..sgd };
    assert_eq!(run(decaying, &[2.0, -2.0], &[&[0.0; 2]]).0, [1.375, -1.375]);
    let decoupled = Sgd { decoupled_weight_decay: true, ..decaying };
    assert_eq!(run(decoupled, &[2.0, -2.0], &[&[0.0; 2]]).0, [1.375, -1.375]);
    assert_eq!(run(Sgd { momentum: 0.5, ..decoupled }, &[0.0], &[&[1.0], &[0.0]]).0, [-0.5]);
}

/// In step with a count of thousands of steps, too.
#[test]
fn adam_of_a_constant_gradient_steps_by_lr_for_ever() {
    let mut optimizer = Optimizer::new(Adam { eps: 0.0, ..Adam::default() }, 1).unwrap();
    let mut params = [0.0];
    for t in 1..=3000 {
        optimizer.step(&mut params, &[0.25]).unwrap();
        let t = t as f32;
        assert!((params[0] + 1e-3 * t).abs() <= 2e-8 * t + 1e-6, "{t}: {params:?}");
    }
}

#[test]
fn what_an_average_does_not_keep_is_taken_in_f64() {
    let (_, optimizer) = run(Adam { betas: (0.999, 0.999), ..Adam::default() }, &[0.0], &[&[1.0]]);
    assert_eq!(optimizer.state("exp_avg").unwrap(), [1e-3_f32]);
    assert_eq!(optimizer.state("exp_avg_sq").unwrap(), [1e-3_f32]);
}

/// Rounding may leave the mean square a little under the square of the mean: the parameter is NaN then in PyTorch, and not here.
#[test]
fn a_centered_variance_below_zero_is_none() {
    let rng = &mut fastrand::Rng::with_seed(0);
    let grads: Vec<f32> = (0..200).map(|_| rng.f32() + 0.5).collect();
    let rule = RmsProp { alpha: 0.5, centered: true, ..RmsProp::default() };
    let (params, optimizer) = run(rule, &[0.0; 200], &vec![&grads[..]; 200]);
    let (v, a) = (optimizer.state("square_avg").unwrap(), optimizer.state("grad_avg").unwrap());
    assert!(v.iter().zip(a).any(|(v, a)| v - a * a < 0.0), "no variance fell below zero");
    assert!(params.iter().all(|p| p.is_finite()));
}

#[test]
fn adagrad_divides_by_the_root_of_the_sum_of_squares() {
    let rule = Adagrad { lr: 0.5, eps: 0.0, ..Adagrad::default() };
    assert_near(&run(rule, &[0.0], &[&[3.0], &[-4.0]]).0, &[-0.5 + 0.5 * 4.0 / 5.0]);
    let rule = Adagrad { lr_decay: 1.0, initial_accumulator_value: 7.0, ..rule };
    let (params, optimizer) = run(rule, &[0.0], &[&[3.0], &[3.0]]); // roots 4 and 5, rates 1/2 and 1/4
    assert_near(&params, &[-0.375 - 0.15]);
    assert_eq!(optimizer.state("sum").unwrap(), [25.0]);
    assert_near(&run(Adagrad { eps: 1.0, ..rule }, &[0.0], &[&[3.0], &[3.0]]).0, &[-0.3 - 0.125]);
}

#[test]
fn adadelta_steps_by_its_past_steps_over_past_gradients() {
    let rule = Adadelta { rho: 0.5, eps: 1.0, ..Adadelta::default() };
    let (params, optimizer) = run(rule, &[0.0], &[&[4.0]]);
    assert_near(&params, &[-4.0 / 3.0]); // 1 / sqrt(8 + 1) * 4
    assert_near(optimizer.state("acc_delta").unwrap(), &[8.0 / 9.0]);
    let (params, optimizer) = run(Adadelta { lr: 0.5, ..rule }, &[0.0], &[&[4.0], &[2.0]]);
    assert_eq!(optimizer.state("square_avg").unwrap(), [6.0]);
    let second = 2.0 * (17.0_f32 / 9.0).sqrt() / 7.0_f32.sqrt();
    assert_near(&params, &[-2.0 / 3.0 - 0.5 * second]);
    assert_near(optimizer.state("acc_delta").unwrap(), &[4.0 / 9.0 + 0.5 * second * second]);
    let (_, kept) = run(Adadelta { rho: 1.0, ..rule }, &[0.0], &[&[4.0]]);
    assert_eq!(
        (kept.state("square_avg").unwrap(), kept.state("acc_delta").unwrap()),
        (&[0.0][..], &[0.0][..])
    );
}

#[test]
fn adamax_divides_by_the_largest_gradient_which_it_forgets() {
    let rule = Adamax { lr: 1.0, betas: (0.5, 0.5), eps: 0.0, ..Adamax::default() };
    let (params, optimizer) = run(rule, &[0.0], &[&[4.0], &[-1.0]]);
    assert_eq!(optimizer.state("exp_avg").unwrap(), [0.5]);
    assert_eq!(optimizer.state("exp_inf").unwrap(), [2.0]);
    assert_near(&params, &[-1.0 - 0.5 / 0.75 / 2.0]);
    let (params, optimizer) = run(Adamax { eps: 1.0, ..rule }, &[0.0], &[&[4.0], &[-3.0]]);
    assert_eq!(optimizer.state("exp_inf").unwrap(), [4.0]); // not 2.5
    assert_near(&params, &[-0.8 + 0.5 / 0.75 / 4.0]);
    let (_, optimizer) = run(rule, &[0.0], &[&[f32::NAN], &[1.0]]);
    assert!(optimizer.state("exp_inf").unwrap()[0].is_nan());
}

/// With beta2 = 7/8 the longest average is 15 long; it is 4.5 long at step 5 and 5.229 at step 6.
#[test]
fn radam_divides_by_the_mean_square_once_it_is_known() {
    let rule = RAdam { lr: 0.25, betas: (0.5, 0.875), eps: 0.0, ..RAdam::default() };
    let ones = [&[1.0_f32][..]; 6];
    let halves = [&[0.5_f32][..]; 6];
    assert_near(&run(rule, &[0.0], &ones[..5]).0, &[-1.25]);
    assert_near(&run(rule, &[0.0], &halves[..5]).0, &[-0.625]);
    assert_near(&run(rule, &[0.0], &ones).0, &[-1.25 - 0.25 * RECTIFICATION]);
    assert_near(&run(rule, &[0.0], &halves).0, &[-0.625 - 0.25 * RECTIFICATION]);
    // The uncorrected root at step 6 is sqrt(1 - (7/8)^6) = 0.742432.
    let eps = RAdam { eps: 1.0, ..rule };
    assert_near(&run(eps, &[0.0], &ones).0, &[-1.25 - 0.25 * RECTIFICATION * 0.742_432 / 1.742_432]);
    const RECTIFICATION: f32 = 0.282215;
}

#[test]
fn nadam_looks_ahead_by_a_momentum_that_grows() {
    // Without growth, each momentum is 1/4.
    let rule = NAdam { lr: 1.0, betas: (0.5, 0.0), eps: 0.0, momentum_decay: 0.0, ..NAdam::default() };
    let first = -0.75 / 0.75 - 0.25 / (1.0 - 1.0 / 16.0) * 0.5;
    assert_near(&run(rule, &[0.0], &[&[1.0]]).0, &[first]);
    let second = 0.75 / (1.0 - 1.0 / 16.0) + 0.25 / (1.0 - 1.0 / 64.0) * 0.25; // the average is -1/4
    assert_near(&run(rule, &[0.0], &[&[1.0], &[-1.0]]).0, &[first + second]);
    // 0.96^momentum_decay = 1/2: the momenta are 3/8, 7/16 and 15/32.
    let rule = NAdam { momentum_decay: 16.979_748, ..rule };
    let first = -1.0 - 7.0 / 16.0 / (1.0 - 21.0 / 128.0) * 0.5;
    let second = -9.0 / 16.0 / (1.0 - 21.0 / 128.0) - 15.0 / 32.0 / (1.0 - 315.0 / 4096.0) * 0.75;
    assert_near(&run(rule, &[0.0], &[&[1.0], &[1.0]]).0, &[first + second]);
    // The mean square is corrected before the root, and eps is added after it.
    let rule = NAdam { betas: (0.0, 0.75), eps: 1.0, ..rule };
    assert_near(&run(rule, &[0.0], &[&[3.0]]).0, &[-0.75]);
}

/// It is found by a loop that ends early, from which on it is a power.
#[test]
fn nadams_product_is_that_of_all_steps() {
    for (beta1, momentum_decay) in [(0.9, 4e-3), (0.999, 1.0), (0.999_9, 0.3), (0.99, 1e3), (0.5, 0.0)] {
        let betas = (beta1, 0.0);
        let rule = NAdam { lr: 1.0, betas, eps: 0.0, momentum_decay, ..NAdam::default() };
        let mut optimizer = Optimizer::new(rule, 1).unwrap();
        let (mut product, mut m) = (1.0, 0.0);
        for t in 1..=3000 {
            let momentum = |t: i32| beta1 * (1.0 - 0.5 * 0.96_f64.powf(f64::from(t) * momentum_decay));
            product *= momentum(t);
            m += (1.0 - beta1) * (1.0 - m);
            let ahead = momentum(t + 1) / (1.0 - product * momentum(t + 1)) * m;
            let mut params = [0.0];
            optimizer.step(&mut params, &[1.0]).unwrap();
            let expected = (1.0 - momentum(t)) / (1.0 - product) + ahead;
            assert!(
                (f64::from(-params[0]) / expected - 1.0).abs() < 2e-5,
                "{rule:?} {t}: {params:?} {expected}"
            );
        }
    }
}

#[test]
fn rprop_steps_by_signs_alone() {
    let rule = Rprop { lr: 0.5, etas: (0.5, 2.0), step_sizes: (0.25, 1.5), ..Rprop::default() };
    let grads = [1.0, 1e-30, 1e-30, -9.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, 0.0, 1.0];
    let sizes = [0.5, 1.0, 1.5, 0.75, 0.75, 1.5, 0.75, 0.75, 0.375, 0.375, 0.25, 0.25, 0.25, 0.25];
    let params =
        [-0.5, -1.5, -3.0, -3.0, -2.25, -0.75, -0.75, -1.5, -1.5, -1.125, -1.125, -1.375, -1.375, -1.625];
    for i in 0..grads.len() {
        let grads: Vec<_> = grads[..=i].chunks(1).collect();
        let (found, optimizer) = run(rule, &[0.0], &grads);
        assert_eq!((found[0], optimizer.state("step_size").unwrap()[0]), (params[i], sizes[i]), "step {i}");
    }
    let (params, optimizer) = run(rule, &[0.0], &[&[-2.0], &[3.0]]);
    assert_eq!((params[0], optimizer.state("prev").unwrap()[0]), (0.5, 0.0));
    for (lr, clamped) in [(9.0, 1.5), (0.0, 0.25)] {
        assert_eq!(run(Rprop { lr, ..rule }, &[0.0], &[&[1.0]]).0, [-clamped]);
    }
}

/// As in PyTorch.
#[test]
fn to_rprop_nan_has_no_sign() {
    let (params, optimizer) = run(Rprop::default(), &[1.0], &[&[f32::NAN], &[1.0]]);
    assert_eq!((params[0], optimizer.state("step_size").unwrap()[0]), (0.99, 0.01));
}

#[test]
fn asgd_averages_from_t0_on() {
    let rule = Asgd { lr: 1.0, lambd: 0.5, alpha: 1.0, t0: 0.0, ..Asgd::default() };
    // eta 1, 2/3, 1/2, 2/5; what is kept 1/2, 2/3, 3/4, 4/5; mu 1, 1, 1/2, 1/3.
    let grads: [&[f32]; 4] = [&[1.0], &[1.0], &[-1.0], &[1.0]];
    for (steps, param, average) in [(1, 1.0, 1.0), (2, 0.0, 0.0), (3, 0.5, 0.25), (4, 0.0, 1.0 / 6.0)] {
        let (params, optimizer) = run(rule, &[4.0], &grads[..steps]);
        assert_near(&params, &[param]);
        assert_near(optimizer.state("ax").unwrap(), &[average]);
    }
    let (params, optimizer) = run(Asgd { t0: 1.0, ..rule }, &[4.0], &grads);
    assert_near(&params, &[0.0]);
    assert_near(optimizer.state("ax").unwrap(), &[0.25]); // half way from 0.5
    let (params, _) = run(Asgd { alpha: 2.0, ..rule }, &[4.0], &grads[..2]);
    assert_near(&params, &[1.0 * (1.0 - 0.5 * 4.0 / 9.0) - 4.0 / 9.0]);
}

#[test]
fn bias_correction_is_right_to_the_bit_where_the_power_vanishes() {
    for k in 4..40 {
        for e in [50.0, 51.0, 51.9, 52.1, 53.0, 53.1, 53.9, 54.0, 54.1, 55.0] {
            let beta = f64::exp2(-e / f64::exp2(f64::from(k)));
            for t in [1_u64 << k, (1 << k) + 1, 3 << k] {
                let expected = 1.0 - reference::power(beta, t);
                assert_eq!(bias_correction(beta, t).to_bits(), expected.to_bits(), "{beta} {t}");
            }
        }
    }
}

#[test]
fn errors_read_well() {
    for (error, text) in [
        (Error::Slots { expected: 1, found: 2 }, "the rule names 1 state slots, but its formula takes 2"),
        (Error::Memory { slots: 2, len: 9 }, "no memory for a state of 2 slots of 9 elements"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}
