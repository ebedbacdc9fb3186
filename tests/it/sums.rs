//! Accumulation and averages, bit for bit.

use crate::cases::{assert_bits, hostile, ordinary};
use lanestep::{
    Error, Group, Level, NonFinite, Optimizer, Parallelism, Pipeline, Sgd, Tensor, axpy, reference,
};

fn ways() -> Vec<(Level, Parallelism)> {
    let parallelisms = [
        Parallelism::Serial,
        #[cfg(feature = "rayon")]
        Parallelism::Rayon { grain: 16 },
    ];
    Level::available()
        .into_iter()
        .flat_map(|level| parallelisms.map(|parallelism| (level, parallelism)))
        .collect()
}

#[test]
fn axpy_is_a_scaled_sum() {
    for numbers in [ordinary, hostile] {
        for len in [0, 1, 16, 33, 100, 70_000] {
            for a in [1.0, -1.0, 1.0005, 0.0, -0.5, 0.3, 3.0, 1e-30, 1e-42, -2e-45, 1e-60, 1e-80] {
                let rng = &mut fastrand::Rng::with_seed(len as u64);
                let (x, mut y) = (numbers(rng, len), numbers(rng, len));
                let expected: Vec<f32> =
                    x.iter().zip(&y).map(|(x, y)| y + reference::scale_any(*x, a)).collect();
                axpy(a, &x, &mut y).unwrap();
                assert_bits(&y, &expected, &(a, len));
            }
        }
    }
}

#[test]
fn axpy_refuses_what_does_not_fit() {
    let mut y = [1.0, 2.0];
    assert_eq!(axpy(1.0, &[1.0], &mut y), Err(Error::Length { what: "x", expected: 2, found: 1 }));
    for a in [f64::NAN, f64::INFINITY, 1e39] {
        assert!(matches!(axpy(a, &[1.0; 2], &mut y), Err(Error::Hyperparameter { name: "a", .. })));
    }
    assert_eq!(y, [1.0, 2.0]);
}

#[test]
fn an_average_follows_at_every_level_with_frozen_groups_and_all() {
    for numbers in [ordinary, hostile] {
        for decay in [0.0, 0.3, 0.5, 0.9, 0.999, 0.999_999_9] {
            for len in [1, 40, 1000, 20_000] {
                let rng = &mut fastrand::Rng::with_seed(len as u64);
                let start = numbers(rng, len);
                let grads: Vec<_> = (0..4).map(|_| numbers(rng, len)).collect();
                for (level, parallelism) in ways() {
                    let groups = [
                        Group { frozen: len > 40, ..Group::new(Sgd::default(), 0..len.div_ceil(3)) },
                        Group::new(Sgd::default(), len.div_ceil(3)..len),
                    ];
                    let mut optimizer = if len == 1 {
                        Optimizer::new(Sgd::default(), len).unwrap()
                    } else {
                        Optimizer::with_groups(groups, len).unwrap()
                    };
                    optimizer.set_level(level);
                    optimizer.set_parallelism(parallelism);
                    let mut beside = optimizer.clone();
                    optimizer.set_ema(decay).unwrap();
                    assert_eq!(optimizer.ema(), None);
                    let (mut params, mut plain, mut expected) = (start.clone(), start.clone(), vec![]);
                    for (t, grads) in grads.iter().enumerate() {
                        let pipeline = Pipeline { measure_update: t == 2, ..Pipeline::default() };
                        let cut = len / 2;
                        let (left, right) = params.split_at_mut(cut);
                        let mut right_grads = grads[cut..].to_vec();
                        let tensors =
                            &mut [Tensor::new(left, &grads[..cut]), Tensor::zeroing(right, &mut right_grads)];
                        optimizer.step_with(tensors, &pipeline).unwrap();
                        beside.step(&mut plain, grads).unwrap();
                        assert_bits(&params, &plain, &"the step is the same");
                        if t == 0 {
                            expected = params.clone();
                        }
                        for (average, p) in expected.iter_mut().zip(&params).filter(|_| t > 0) {
                            *average = reference::average(*average, *p, decay);
                        }
                        assert_bits(
                            optimizer.ema().unwrap(),
                            &expected,
                            &(level, parallelism, decay, len, t),
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn an_average_keeps_out_of_skipped_steps_and_bad_decays() {
    let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 1).unwrap();
    for decay in [1.0, -0.1, f64::NAN] {
        assert!(matches!(optimizer.set_ema(decay), Err(Error::Hyperparameter { name: "decay", .. })));
    }
    optimizer.set_ema(0.5).unwrap();
    let skip = Pipeline { non_finite: NonFinite::Skip, ..Pipeline::default() };
    let mut params = [4.0];
    for (grad, expected) in [(f32::NAN, None), (1.0, Some(3.0)), (f32::NAN, Some(3.0)), (2.0, Some(2.0))] {
        optimizer.step_with(&mut [Tensor::new(&mut params, &[grad])], &skip).unwrap();
        assert_eq!(optimizer.ema().map(|ema| ema[0]), expected);
    }
    optimizer.set_ema(0.0).unwrap();
    optimizer.step(&mut params, &[0.0]).unwrap();
    assert_eq!(optimizer.ema(), Some(&[1.0][..]), "a new decay, and the same average");
}

#[test]
fn a_new_decay_does_not_begin_the_average_again() {
    let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, 1).unwrap();
    let mut params = [4.0];
    for (decay, expected) in [(0.0, 3.0), (0.5, 2.5)] {
        optimizer.set_ema(decay).unwrap();
        optimizer.step(&mut params, &[1.0]).unwrap();
        assert_eq!(optimizer.ema(), Some(&[expected][..]));
    }
}

#[test]
fn axpy_with_minus_one() {
    let mut y = [1.0];
    axpy(-1.0, &[0.25], &mut y).unwrap();
    assert_eq!(y, [0.75]);
    axpy(1.0005, &[1.0], &mut y).unwrap();
    assert!((y[0] - 1.7505).abs() < 1e-6);
}
