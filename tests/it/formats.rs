//! Other formats than numbers are computed in: what a step reads is decoded, what it leaves is rounded, and nothing else changes.

use crate::cases::{assert_bits, hostile, ordinary, parallelisms};
use crate::piped::round;
use crate::variants::each_option;
use half::{bf16, f16};
use lanestep::reference;
use lanestep::{
    Adam, AdamW, AnyRule, Element, Error, Format, Level, Optimizer, Parallelism, Pipeline, Rounding, Rule,
    Tensor,
};

/// Numbers in a format.
#[derive(Clone, Debug)]
pub enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
}

impl Numbers {
    pub fn new(numbers: &[f32], format: Format) -> Self {
        let numbers = numbers.iter().copied();
        match format {
            Format::Bf16 => Self::Bf16(numbers.map(bf16::from_f32).collect()),
            Format::F16 => Self::F16(numbers.map(f16::from_f32).collect()),
            _ => Self::F32(numbers.collect()),
        }
    }

    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(numbers) => numbers.clone(),
            Self::Bf16(numbers) => numbers.iter().map(|x| x.to_f32()).collect(),
            Self::F16(numbers) => numbers.iter().map(|x| x.to_f32()).collect(),
        }
    }

    pub const fn format(&self) -> Format {
        match self {
            Self::F32(_) => Format::F32,
            Self::Bf16(_) => Format::Bf16,
            Self::F16(_) => Format::F16,
        }
    }

    pub fn tensor<'a>(&'a mut self, grads: &'a mut Self, zeroing: bool) -> Tensor<'a> {
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

pub fn read(optimizer: &Optimizer<AnyRule>, name: &str) -> Vec<f32> {
    let mut numbers = vec![0.0; optimizer.len()];
    optimizer.read_state(name, &mut numbers).unwrap();
    numbers
}

pub fn ways(index: usize) -> impl Iterator<Item = (Level, Parallelism)> {
    let parallelisms = parallelisms();
    let parallelism = move |k| parallelisms[(index + k) % parallelisms.len()];
    Level::available().into_iter().enumerate().map(move |(k, level)| (level, parallelism(k)))
}

#[test]
fn every_rule_in_every_format_is_the_reference_with_what_it_leaves_rounded() {
    let rng = &mut fastrand::Rng::with_seed(1);
    let any = |rng: &mut fastrand::Rng| *rng.choice(Format::all()).unwrap();
    for (index, rule) in each_option().into_iter().enumerate() {
        let element =
            |rng: &mut fastrand::Rng| *rng.choice(&[Format::F32, Format::Bf16, Format::F16]).unwrap();
        let (of_params, of_grads) = (element(rng), element(rng));
        let rounding = *rng.choice(&[Rounding::Nearest, Rounding::Stochastic { seed: 7 }]).unwrap();
        let slots: Vec<_> = rule.slots().iter().map(|name| (*name, any(rng))).collect();
        let len = *rng.choice(&[1, 15, 16, 37, 511, 512, 513, 1100]).unwrap();
        let numbers = if index % 3 == 0 { hostile } else { ordinary };
        let start = Numbers::new(&numbers(rng, len), of_params);
        let grads: Vec<_> = (0..4).map(|_| Numbers::new(&numbers(rng, len), of_grads)).collect();

        let (mut expected, mut state) = (start.to_f32(), vec![vec![0.0; len]; slots.len()]);
        let mut average = vec![];
        for (t, grads) in (1..).zip(&grads) {
            rule.reference(t, &mut expected, &grads.to_f32(), &mut state);
            let at = |name| Some((rounding, t - 1, name));
            round(&mut expected, 0, of_params, true, at("params"));
            for (slot, (name, format)) in state.iter_mut().zip(&slots) {
                round(slot, 0, *format, !rule.non_negative(name), at(name));
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
            optimizer.set_rounding(rounding);
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

#[test]
fn other_formats_are_refused_where_they_cannot_be() {
    let mut optimizer = Optimizer::new(AdamW::default(), 2).unwrap();
    let error = optimizer.set_state_format("momentum_buffer", Format::Bf16).unwrap_err();
    let known = vec!["exp_avg", "exp_avg_sq"];
    assert_eq!(error, Error::NoState { name: "momentum_buffer".into(), known: known.clone() });
    assert_eq!(optimizer.read_state("sum", &mut [0.0; 2]), Err(Error::NoState { name: "sum".into(), known }));
    let short = Error::Length { what: "exp_avg", expected: 2, found: 1 };
    assert_eq!(optimizer.read_state("exp_avg", &mut [0.0; 1]), Err(short));

    optimizer.set_ema(0.5).unwrap();
    let (mut params, grads) = ([bf16::ONE; 2], [f16::ONE; 2]);
    optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &Pipeline::default()).unwrap();
    let before = params;
    assert_eq!(optimizer.swap_ema(&mut [Tensor::of(&mut params)]), Err(Error::SwapFormat));
    assert_eq!(params, before);
    assert_eq!(optimizer.ema(), Some(&before.map(bf16::to_f32)[..]), "as the parameters are kept");
}

/// A mean square of 1e-13 is less than any `f16`, but no zero, and the step computes with what is fresh.
#[test]
fn state_is_rounded_and_the_update_is_not() {
    let rule = AdamW { weight_decay: 0.0, ..AdamW::default() };
    let mut optimizer = Optimizer::new(rule, 1).unwrap();
    optimizer.set_state_format("exp_avg_sq", Format::F16).unwrap();
    assert_eq!((optimizer.state("exp_avg_sq"), optimizer.state("exp_avg")), (None, Some(&[0.0][..])));
    let mut params = [1.0_f32];
    optimizer.step(&mut params, &[1e-5]).unwrap();
    let mut square = [1.0];
    optimizer.read_state("exp_avg_sq", &mut square).unwrap();
    assert_eq!(square, [f16::from_bits(1).to_f32()]);
    assert!((params[0] - 0.999).abs() < 1e-5, "{params:?}");
}

#[cfg(feature = "checkpoint")]
mod files {
    use super::*;
    use crate::loaded::{bytes, loaded, open};
    use lanestep::Layout;
    use lanestep::checkpoint::{self, Snapshot};
    use safetensors::{Dtype, SafeTensors};

    /// Two tensors, of which one is of `bf16`, with state in all formats.
    fn mixed() -> (Optimizer<AnyRule>, Vec<bf16>, Vec<f32>) {
        let rule = AnyRule::from(Adam { amsgrad: true, ..Adam::default() });
        let mut optimizer = Optimizer::new(rule, Layout::new([("a", 700), ("b", 3)]).unwrap()).unwrap();
        optimizer.set_state_format("exp_avg", Format::Bf16).unwrap();
        optimizer.set_state_format("max_exp_avg_sq", Format::F16).unwrap();
        let rng = &mut fastrand::Rng::with_seed(5);
        let mut a: Vec<_> = ordinary(rng, 700).into_iter().map(bf16::from_f32).collect();
        let (mut b, grads) = (ordinary(rng, 3), ordinary(rng, 703));
        for _ in 0..3 {
            let tensors = &mut [Tensor::new(&mut a, &grads[..700]), Tensor::new(&mut b, &grads[700..])];
            optimizer.step_with(tensors, &Pipeline::default()).unwrap();
        }
        (optimizer, a, b)
    }

    #[test]
    fn files_have_the_formats_and_give_them_back() {
        let (mut optimizer, mut a, mut b) = mixed();
        let mut file = Vec::new();
        let params: [checkpoint::Params<'_>; 2] = [("a", &a[..]).into(), ("b", &b[..]).into()];
        Snapshot::of(&optimizer).params(params).write(&mut file).unwrap();
        let read = SafeTensors::deserialize(&file).unwrap();
        let dtype = |name: &str| read.tensor(name).unwrap().dtype();
        let names = ["model.a", "model.b", "state.a.exp_avg", "state.b.exp_avg_sq", "state.b.max_exp_avg_sq"];
        assert_eq!(names.map(dtype), [Dtype::BF16, Dtype::F32, Dtype::BF16, Dtype::F32, Dtype::F16]);

        let mut checkpoint = open(&file).unwrap();
        let (mut others, mut other_b) = (vec![bf16::ZERO; 700], vec![0.0_f32; 3]);
        checkpoint.params(&mut [Tensor::of(&mut others), Tensor::of(&mut other_b)]).unwrap();
        assert!(others == a && other_b == b);
        let error = checkpoint.params(&mut [Tensor::of(&mut vec![0.0_f32; 700]), Tensor::of(&mut other_b)]);
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "the tensor \"model.a\" has numbers of the type BF16, but must have F32");

        let mut other = loaded(&optimizer);
        assert_eq!(other.state_format("exp_avg"), Some(Format::Bf16));
        let grads = vec![0.25_f32; 703];
        for (optimizer, a, b) in [(&mut optimizer, &mut a, &mut b), (&mut other, &mut others, &mut other_b)] {
            let tensors = &mut [Tensor::new(a, &grads[..700]), Tensor::new(b, &grads[700..])];
            optimizer.step_with(tensors, &Pipeline::default()).unwrap();
        }
        assert!(others == a && other_b == b && bytes(&optimizer) == bytes(&other));
    }

    #[test]
    fn one_tensor_has_one_format() {
        let optimizer = Optimizer::new(AdamW::default(), 2).unwrap();
        let params: [checkpoint::Params<'_>; 2] = [(&[bf16::ONE][..]).into(), (&[1.0_f32][..]).into()];
        let error = Snapshot::of(&optimizer).params(params).write(Vec::new()).unwrap_err();
        assert!(matches!(error, checkpoint::Error::Mixed { .. }), "{error}");
    }
}
