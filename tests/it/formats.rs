//! State in other formats than it is computed with: what a step leaves is rounded, and nothing else changes.

use crate::cases::{assert_bits, hostile, ordinary, parallelisms};
use crate::variants::each_option;
use half::{bf16, f16};
use lanestep::{AdamW, AnyRule, Error, Format, Level, Optimizer, Rule, Sgd};

/// By another's code.
fn rounded(x: f32, format: Format) -> f32 {
    match format {
        Format::Bf16 => bf16::from_f32(x).to_f32(),
        Format::F16 => f16::from_f32(x).to_f32(),
        _ => x,
    }
}

fn read(optimizer: &Optimizer<AnyRule>, name: &str) -> Vec<f32> {
    let mut numbers = vec![0.0; optimizer.len()];
    optimizer.read_state(name, &mut numbers).unwrap();
    numbers
}

#[test]
fn every_rule_with_every_format_is_the_reference_with_rounded_state() {
    let rng = &mut fastrand::Rng::with_seed(1);
    for (seed, rule) in (0..).zip(each_option()) {
        let slots = rule.slots();
        let formats: Vec<_> = slots.iter().map(|_| *rng.choice(Format::all()).unwrap()).collect();
        let len = *rng.choice(&[1, 15, 16, 37, 511, 512, 513, 1100]).unwrap();
        let numbers = if seed % 3 == 0 { hostile } else { ordinary };
        let mut expected = numbers(rng, len);
        let grads: Vec<_> = (0..4).map(|_| numbers(rng, len)).collect();
        let start = expected.clone();
        let mut state = vec![vec![0.0; len]; slots.len()];
        for (t, grads) in (1..).zip(&grads) {
            rule.reference(t, &mut expected, grads, &mut state);
            for (slot, format) in state.iter_mut().zip(&formats) {
                slot.iter_mut().for_each(|x| *x = rounded(*x, *format));
            }
        }
        for (level, parallelism) in Level::available().into_iter().zip(parallelisms().into_iter().cycle()) {
            let mut optimizer = Optimizer::new(rule, len).unwrap();
            optimizer.set_level(level);
            optimizer.set_parallelism(parallelism);
            for (name, format) in slots.iter().zip(&formats) {
                optimizer.set_state_format(*name, *format).unwrap();
                assert_eq!(optimizer.state_format(name), Some(*format));
            }
            let mut params = start.clone();
            for grads in &grads {
                optimizer.step(&mut params, grads).unwrap();
            }
            let context = (&rule, &formats, level, parallelism);
            assert_bits(&params, &expected, &context);
            for (name, slot) in slots.iter().zip(&state) {
                assert_bits(&read(&optimizer, name), slot, &(name, context));
            }
        }
    }
}
