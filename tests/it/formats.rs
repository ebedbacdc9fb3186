//! Other formats than numbers are computed in: what a step reads is decoded, what it leaves is rounded, and nothing else changes.

use crate::cases::{assert_bits, hostile, ordinary, parallelisms};
use crate::piped::rounded;
use crate::variants::each_option;
use half::{bf16, f16};
use lanestep::{AnyRule, Element, Format, Level, Optimizer, Parallelism, Pipeline, Rule, Tensor, reference};

/// Numbers in a format.
#[derive(Clone, Debug)]
enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
}

impl Numbers {
    fn new(numbers: &[f32], format: Format) -> Self {
        let numbers = numbers.iter().copied();
        match format {
            Format::Bf16 => Self::Bf16(numbers.map(bf16::from_f32).collect()),
            Format::F16 => Self::F16(numbers.map(f16::from_f32).collect()),
            _ => Self::F32(numbers.collect()),
        }
    }

    fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(numbers) => numbers.clone(),
            Self::Bf16(numbers) => numbers.iter().map(|x| x.to_f32()).collect(),
            Self::F16(numbers) => numbers.iter().map(|x| x.to_f32()).collect(),
        }
    }

    fn tensor<'a>(&'a mut self, grads: &'a mut Self, zeroing: bool) -> Tensor<'a> {
        match self {
            Self::F32(params) => grads.under(params, zeroing),
            Self::Bf16(params) => grads.under(params, zeroing),
            Self::F16(params) => grads.under(params, zeroing),
        }
    }

    fn under<'a, P: Element>(&'a mut self, params: &'a mut [P], zeroing: bool) -> Tensor<'a> {
        match (self, zeroing) {
            (Self::F32(grads), true) => Tensor::zeroing(params, grads),
            (Self::Bf16(grads), true) => Tensor::zeroing(params, grads),
            (Self::F16(grads), true) => Tensor::zeroing(params, grads),
            (Self::F32(grads), false) => Tensor::new(params, grads),
            (Self::Bf16(grads), false) => Tensor::new(params, grads),
            (Self::F16(grads), false) => Tensor::new(params, grads),
        }
    }
}

fn read(optimizer: &Optimizer<AnyRule>, name: &str) -> Vec<f32> {
    let mut numbers = vec![0.0; optimizer.len()];
    optimizer.read_state(name, &mut numbers).unwrap();
    numbers
}

fn ways(index: usize) -> impl Iterator<Item = (Level, Parallelism)> {
    let parallelisms = parallelisms();
    let parallelism = move |k| parallelisms[(index + k) % parallelisms.len()];
    Level::available().into_iter().enumerate().map(move |(k, level)| (level, parallelism(k)))
}

#[test]
fn every_rule_in_every_format_is_the_reference_with_what_it_leaves_rounded() {
    let rng = &mut fastrand::Rng::with_seed(1);
    let any = |rng: &mut fastrand::Rng| *rng.choice(Format::all()).unwrap();
    for (index, rule) in each_option().into_iter().enumerate() {
        let (of_params, of_grads) = (any(rng), any(rng));
        let slots: Vec<_> = rule.slots().iter().map(|name| (*name, any(rng))).collect();
        let len = *rng.choice(&[1, 15, 16, 37, 511, 512, 513, 1100]).unwrap();
        let numbers = if index % 3 == 0 { hostile } else { ordinary };
        let start = Numbers::new(&numbers(rng, len), of_params);
        let grads: Vec<_> = (0..4).map(|_| Numbers::new(&numbers(rng, len), of_grads)).collect();

        let (mut expected, mut state) = (start.to_f32(), vec![vec![0.0; len]; slots.len()]);
        let mut average = vec![];
        for (t, grads) in (1..).zip(&grads) {
            rule.reference(t, &mut expected, &grads.to_f32(), &mut state);
            expected.iter_mut().for_each(|p| *p = rounded(*p, of_params));
            for (slot, (_, format)) in state.iter_mut().zip(&slots) {
                slot.iter_mut().for_each(|x| *x = rounded(*x, *format));
            }
            if average.is_empty() {
                average.clone_from(&expected);
            } else {
                average.iter_mut().zip(&expected).for_each(|(a, p)| *a = reference::average(*a, *p, 0.75));
            }
        }
        for (level, parallelism) in ways(index) {
            let mut optimizer = Optimizer::new(rule, len).unwrap();
            optimizer.set_level(level);
            optimizer.set_parallelism(parallelism);
            for (name, format) in &slots {
                optimizer.set_state_format(*name, *format).unwrap();
                assert_eq!(optimizer.state_format(name), Some(*format));
            }
            let (beside, zeroing) = (rng.bool(), rng.bool());
            if beside {
                optimizer.set_ema(0.75).unwrap();
            }
            let mut params = start.clone();
            let context = (&rule, of_params, of_grads, &slots, level, parallelism);
            for grads in &grads {
                let mut grads = grads.clone();
                let before = params.to_f32();
                let tensors = &mut [params.tensor(&mut grads, zeroing)];
                let pipeline =
                    Pipeline { measure_update: beside, measure_grads: beside, ..Pipeline::default() };
                let report = optimizer.step_with(tensors, &pipeline).unwrap();
                if zeroing {
                    assert!(grads.to_f32().iter().all(|g| g.to_bits() == 0));
                }
                if let Some(update) = report.update {
                    let moved = params
                        .to_f32()
                        .iter()
                        .zip(&before)
                        .map(|(p, q)| f64::from(p - q).powi(2))
                        .sum::<f64>();
                    let close = (update.norm - moved.sqrt()).abs() <= 1e-5 * update.norm;
                    assert!(
                        close || !update.norm.is_finite() || !moved.is_finite(),
                        "{update:?} {moved} {context:?}"
                    );
                }
            }
            assert_bits(&params.to_f32(), &expected, &context);
            assert_bits(
                optimizer.ema().unwrap_or_default(),
                if beside { &average } else { &[] },
                &("ema", context),
            );
            for ((name, _), slot) in slots.iter().zip(&state) {
                assert_bits(&read(&optimizer, name), slot, &(name, context));
            }
        }
    }
}
