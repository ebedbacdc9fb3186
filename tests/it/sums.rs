//! Accumulation and averages, bit for bit.

use crate::cases::{assert_bits, hostile, ordinary};
use lanestep::{Ema, Error, Level, Parallelism, axpy, reference};

#[test]
fn axpy_is_a_scaled_sum() {
    for numbers in [ordinary, hostile] {
        for len in [0, 1, 16, 33, 100, 70_000] {
            for a in [1.0, 0.0, -0.5, 0.3, 3.0, 1e-30, 1e-42] {
                let rng = &mut fastrand::Rng::with_seed(len as u64);
                let (x, mut y) = (numbers(rng, len), numbers(rng, len));
                let added = |x: f32| if a == 1.0 { x } else { reference::scale(x, a) };
                let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| y + added(*x)).collect();
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
fn an_average_follows_at_every_level() {
    for numbers in [ordinary, hostile] {
        for decay in [0.0, 0.3, 0.5, 0.9, 0.999, 0.999_999_9] {
            for len in [1, 40, 1000] {
                let rng = &mut fastrand::Rng::with_seed(len as u64);
                let start = numbers(rng, len);
                let steps: Vec<_> = (0..5).map(|_| numbers(rng, len)).collect();
                let mut expected = start.clone();
                for params in &steps {
                    for (average, p) in expected.iter_mut().zip(params) {
                        *average = reference::average(*average, *p, decay);
                    }
                }
                for level in Level::available() {
                    for parallelism in [Parallelism::Serial, Parallelism::default()] {
                        let ema = Ema::new(&start, 0.5).unwrap();
                        let mut ema = ema.with_level(level).with_parallelism(parallelism);
                        ema.set_decay(decay).unwrap();
                        steps.iter().for_each(|params| ema.update(params).unwrap());
                        assert_bits(ema.params(), &expected, &(level, decay, len));
                    }
                }
            }
        }
    }
}

#[test]
fn an_average_refuses_what_does_not_fit() {
    let mut ema = Ema::new(&[1.0, 2.0], 0.5).unwrap();
    assert_eq!(ema.update(&[1.0]), Err(Error::Length { what: "params", expected: 2, found: 1 }));
    for decay in [1.0, -0.1, f64::NAN] {
        assert!(matches!(ema.set_decay(decay), Err(Error::Hyperparameter { name: "decay", .. })));
        assert!(matches!(Ema::new(&[], decay), Err(Error::Hyperparameter { name: "decay", .. })));
    }
    assert_eq!(ema.params(), [1.0, 2.0]);
}
