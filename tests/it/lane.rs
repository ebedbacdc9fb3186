//! Each lane operation at every width, on all pairs of hostile numbers.

use crate::bare::Bare;
use crate::cases::{HOSTILE, assert_bits};
use lanestep::{Formula, Lane, Level, Optimizer, Parallelism};

/// Applies one operation to parameter and gradient.
#[derive(Clone, Copy)]
struct Apply(usize);

type Scalar = fn(f32, f32) -> f32;

const OPERATIONS: [(&str, Scalar); 24] = [
    ("a + b", |a, b| a + b),
    ("a - b", |a, b| a - b),
    ("a * b", |a, b| a * b),
    ("a / b", |a, b| a / b),
    ("a + 0.3", |a, _| a + 0.3),
    ("a - 0.3", |a, _| a - 0.3),
    ("a * 0.3", |a, _| a * 0.3),
    ("a / 0.3", |a, _| a / 0.3),
    ("sqrt", |a, _| a.sqrt()),
    ("abs", |a, _| a.abs()),
    ("splat", |_, _| 0.3),
    ("max", |a, b| {
        if a.is_nan() || b.is_nan() {
            f32::NAN
        } else if a > b {
            a
        } else {
            b
        }
    }),
    ("min", |a, b| {
        if a.is_nan() || b.is_nan() {
            f32::NAN
        } else if a < b {
            a
        } else {
            b
        }
    }),
    ("sign", |a, _| if a.is_nan() || a == 0.0 { a.abs() } else { a.signum() }),
    ("less", |a, b| if a < b { a } else { 0.3 }),
    ("is_nan", |a, b| if a.is_nan() { b } else { a }),
    ("at_least", |a, b| if a.abs() < 1e-30 { b } else { a }),
    ("at_least NaN", |a, _| a),
    ("at_least -0", |a, _| a),
    ("no_less_than", |a, _| if a < 0.3 { 0.3 } else { a }),
    ("no_less_than 0", |a, _| if a < 0.0 { 0.0 } else { a }),
    ("times", |a, _| if a.abs() < 1e-30 { 0.0 } else { a * 0.3 }),
    ("zero_below", |a, _| if a.abs() < 1e-30 { 0.0 } else { a }),
    ("flush", |a, _| if a.is_subnormal() || a == 0.0 { 0.0 } else { a }),
];

impl Formula<0> for Apply {
    fn update<L: Lane>(&self, a: L, b: L, s: [L; 0]) -> (L, [L; 0]) {
        let result = match OPERATIONS[self.0].0 {
            "a + b" => a + b,
            "a - b" => a - b,
            "a * b" => a * b,
            "a / b" => a / b,
            "a + 0.3" => a + 0.3,
            "a - 0.3" => a - 0.3,
            "a * 0.3" => a * 0.3,
            "a / 0.3" => a / 0.3,
            "sqrt" => a.sqrt(),
            "abs" => a.abs(),
            "splat" => a.splat(0.3),
            "max" => a.max(b),
            "min" => a.min(b),
            "sign" => a.sign(),
            "less" => L::select(a.less(b), a, a.splat(0.3)),
            "is_nan" => L::select(a.is_nan(), b, a),
            "at_least" => L::select(a.at_least(1e-30), a, b),
            "at_least -0" => L::select(a.at_least(-0.0), a, b),
            "no_less_than" => a.no_less_than(0.3),
            "no_less_than 0" => a.no_less_than(0.0),
            "at_least NaN" => L::select(a.at_least(f32::NAN), a, b),
            "times" => a.times(0.3, 1e-30),
            "zero_below" => a.zero_below(1e-30),
            "flush" => a.flush(),
            other => panic!("no operation {other}"),
        };
        (result, s)
    }
}

#[test]
fn every_operation_on_all_pairs_at_every_level() {
    // Five more than a multiple of sixteen, so that each pair is met in a lane and the last ones in the tail.
    let pairs: Vec<(f32, f32)> = HOSTILE.iter().flat_map(|&a| HOSTILE.map(|b| (a, b))).collect();
    let pairs = [&pairs[..], &pairs[..5]].concat();
    let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    for (k, (name, scalar)) in OPERATIONS.iter().enumerate() {
        let expected: Vec<f32> = pairs.iter().map(|&(a, b)| scalar(a, b)).collect();
        for level in Level::available() {
            let mut optimizer = Optimizer::new(Bare(Apply(k)), a.len()).unwrap();
            optimizer.set_level(level);
            optimizer.set_parallelism(Parallelism::Serial);
            let mut found = a.clone();
            optimizer.step(&mut found, &b).unwrap();
            assert_bits(&found, &expected, &(name, level));
        }
    }
}
