//! Parameters of which the lower halves are the optimizer's, and copies of parameters.

use crate::cases::{assert_bits, hostile, ordinary};
use crate::formats::{Numbers, read, ways};
use crate::piped::assert_same_report;
use crate::variants::each_option;
use half::bf16;
use lanestep::{
    AdamW, AnyRule, Error, Format, Group, Layout, Level, NonFinite, Optimizer, Pipeline, Rounding, Sgd,
    Tensor,
};

/// The nearest, of two the one farther from zero, in `f64`.
fn nearest(x: f32) -> bf16 {
    let upper = (x.to_bits() >> 16) as u16;
    let value = |upper: u16| match upper & 0x7fff {
        0x7f80 => 2_f64.powi(128), // where the next would be
        magnitude => f64::from(bf16::from_bits(magnitude).to_f32()),
    };
    if x.is_infinite() || f64::from(x.abs()) - value(upper) < value(upper + 1) - f64::from(x.abs()) {
        return bf16::from_bits(upper);
    }
    bf16::from_bits(upper + 1)
}

fn assert_shown(shown: &[bf16], params: &[f32], context: &dyn std::fmt::Debug) {
    for (shown, p) in shown.iter().zip(params) {
        let same = if p.is_nan() { shown.is_nan() } else { shown.to_bits() == nearest(*p).to_bits() };
        assert!(same, "{shown:?} for {p:e}: {context:?}");
    }
}

fn masters(optimizer: &Optimizer<AnyRule>, shown: &mut [bf16]) -> Vec<f32> {
    let mut masters = vec![0.0; shown.len()];
    optimizer.masters(&[Tensor::of(shown)], &mut masters).unwrap();
    masters
}

/// Places in `0..=len`, in order, with both ends.
fn cuts(rng: &mut fastrand::Rng, len: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = (0..rng.usize(0..4)).map(|_| rng.usize(0..=len)).collect();
    cuts.extend([0, len]);
    cuts.sort_unstable();
    cuts
}

/// One to three groups of a rule, of which the middle one may be frozen and the last has two ranges.
fn groups(rng: &mut fastrand::Rng, rule: AnyRule, len: usize) -> Vec<Group<AnyRule>> {
    if len < 5 || rng.bool() {
        return vec![Group::new(rule, 0..len)];
    }
    let (a, b, c) = (1 + len / 4, len / 2, len - 1);
    let last = Group { lr_scale: 0.5, ..Group::over(rule, [b..c, 0..1]) };
    let middle = Group { frozen: rng.bool(), ..Group::new(rule, a..b) };
    vec![Group::over(rule, [1..a, c..len]), middle, last]
}

fn tensors<'a, P: lanestep::Element>(
    params: &'a mut [P],
    grads: &'a mut [f32],
    cuts: &[usize],
    zeroing: bool,
) -> Vec<Tensor<'a>> {
    let (mut params, mut grads) = (params, grads);
    let lens = cuts.windows(2).map(|ends| ends[1] - ends[0]);
    lens.map(|len| {
        let (p, g) = (params.split_off_mut(..len).unwrap(), grads.split_off_mut(..len).unwrap());
        if zeroing { Tensor::zeroing(p, g) } else { Tensor::new(p, g) }
    })
    .collect()
}

fn pipeline(rng: &mut fastrand::Rng) -> Pipeline {
    Pipeline {
        measure_update: rng.bool(),
        max_norm: rng.bool().then_some(1.0),
        min_param: rng.bool().then_some(-0.75),
        max_param: rng.bool().then_some(0.7),
        non_finite: *rng.choice(&[NonFinite::Propagate, NonFinite::Skip]).unwrap(),
        ..Pipeline::default()
    }
}

/// Neither their halves, their state nor their average are another's.
#[test]
fn halves_without_gradients_stay() {
    for format in Format::all() {
        let mut optimizer = Optimizer::new(AnyRule::from(AdamW::default()), 900).unwrap();
        optimizer.set_state_format(None, *format).unwrap();
        optimizer.set_split(true).unwrap();
        optimizer.set_ema(0.5).unwrap();
        let params = ordinary(&mut fastrand::Rng::with_seed(4), 900);
        let (mut shown, grads) = (vec![bf16::ONE; 900], vec![0.5_f32; 900]);
        optimizer.set_masters(&params, &mut [Tensor::of(&mut shown)]).unwrap();
        // Cut where blocks are, so that nothing is rounded again.
        let frozen = Group { frozen: true, ..Group::new(AdamW::default().into(), 256..512) };
        let stepped = Group::over(AdamW::default().into(), [0..256, 512..900]);
        let mut expected = Optimizer::with_groups([stepped, frozen], 900).unwrap();
        expected.set_state_format(None, *format).unwrap();
        expected.set_ema(0.5).unwrap();
        let mut whole = params;
        for _ in 0..3 {
            let [a, b, c] = [0..256, 256..512, 512..900].map(|range| shown[range].to_vec());
            let mut parts = [a, b, c];
            let [a, b, c] = &mut parts;
            let tensors = &mut [Tensor::new(a, &grads[..256]), Tensor::of(b), Tensor::new(c, &grads[512..])];
            optimizer.step_with(tensors, &Pipeline::default()).unwrap();
            shown = parts.concat();
            expected.step(&mut whole, &grads).unwrap();
            assert_bits(&masters(&optimizer, &mut shown), &whole, format);
            assert_bits(optimizer.ema().unwrap(), expected.ema().unwrap(), format);
            for name in expected.state_names() {
                assert_bits(&read(&optimizer, name), &read(&expected, name), &(name, format));
            }
        }
    }
}

#[test]
fn a_run_in_halves_has_the_bits_of_one_in_f32() {
    let rng = &mut fastrand::Rng::with_seed(1);
    for (index, rule) in each_option().into_iter().enumerate() {
        let len = *rng.choice(&[1, 15, 16, 37, 511, 513, 1100]).unwrap();
        let numbers = if index % 2 == 0 { hostile } else { ordinary };
        let (groups, cuts, pipeline) = (groups(rng, rule, len), cuts(rng, len), pipeline(rng));
        let (start, zeroing, decay) = (numbers(rng, len), rng.bool(), rng.bool().then_some(0.75));
        let format = *rng.choice(Format::all()).unwrap();
        let rounding = *rng.choice(&[Rounding::Nearest, Rounding::Stochastic { seed: 3 }]).unwrap();
        for (level, parallelism) in ways(index) {
            let mut whole = Optimizer::with_groups(groups.clone(), len).unwrap();
            whole.set_ema(decay).unwrap();
            whole.set_state_format(None, format).unwrap();
            whole.set_rounding(rounding);
            let mut split = whole.clone();
            split.set_level(level);
            split.set_parallelism(parallelism);
            split.set_split(true).unwrap();
            let (mut params, mut shown) = (start.clone(), vec![bf16::ONE; len]);
            split.set_masters(&params, &mut [Tensor::of(&mut shown)]).unwrap();
            for step in 0..4 {
                let context = (rule, len, &cuts, &pipeline, format, level, parallelism, step);
                let mut grads = numbers(rng, len);
                let mut others = grads.clone();
                let expected =
                    whole.step_with(&mut tensors(&mut params, &mut grads, &cuts, zeroing), &pipeline);
                let found = split.step_with(&mut tensors(&mut shown, &mut others, &cuts, zeroing), &pipeline);
                assert_same_report(&found.unwrap(), &expected.unwrap(), &context);
                assert_bits(&others, &grads, &("gradients", context));
                assert_bits(&masters(&split, &mut shown), &params, &context);
                assert_shown(&shown, &params, &context);
                assert_eq!(split.ema().is_some(), whole.ema().is_some());
                assert_bits(split.ema().unwrap_or_default(), whole.ema().unwrap_or_default(), &context);
                if whole.ema().is_some() {
                    for _ in 0..2 {
                        whole.swap_ema(&mut [Tensor::of(&mut params)]).unwrap();
                        split.swap_ema(&mut tensors(&mut shown, &mut others, &cuts, false)).unwrap();
                        assert_bits(&masters(&split, &mut shown), &params, &("swapped", context));
                        assert_shown(&shown, &params, &("swapped", context));
                    }
                }
            }
            for name in whole.state_names() {
                assert_bits(&read(&split, name), &read(&whole, name), &(name, rule, level));
            }
        }
    }
}

/// Other remainders lose a bit in a million.
#[test]
fn no_bit_of_a_parameter_is_lost() {
    const LEN: usize = 1 << 19;
    let mut optimizer = Optimizer::<AnyRule>::new(Sgd { lr: 0.0, ..Sgd::default() }.into(), LEN).unwrap();
    optimizer.set_split(true).unwrap();
    let lower = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1234, 0xfedc];
    let mut shown = vec![bf16::ZERO; LEN];
    for round in 0..32_u32 {
        for level in Level::available() {
            optimizer.set_level(level);
            // All upper halves with lower ones at the edges, then any at all.
            let any = |i: u32| (i + (round << 19)).wrapping_mul(0x9e37_79b1);
            let number = |i: u32| if round == 0 { i >> 3 << 16 | lower[i as usize % 8] } else { any(i) };
            let params: Vec<_> = (0..LEN as u32).map(|i| f32::from_bits(number(i))).collect();
            optimizer.set_masters(&params, &mut [Tensor::of(&mut shown)]).unwrap();
            assert_bits(&masters(&optimizer, &mut shown), &params, &level);
            if round == 0 {
                assert_shown(&shown, &params, &level);
                let grads = vec![0.0_f32; LEN];
                let tensors = &mut [Tensor::new(&mut shown, &grads)];
                optimizer.step_with(tensors, &Pipeline::default()).unwrap();
                assert_bits(&masters(&optimizer, &mut shown), &params, &("a step of nothing", level));
            }
        }
    }
}

#[test]
fn halves_begin_as_zeros_and_are_forgotten() {
    let mut optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), 3).unwrap();
    let mut shown = [1.0, -0.0, f32::INFINITY].map(bf16::from_f32);
    for _ in 0..2 {
        assert!(!optimizer.is_split());
        optimizer.set_split(true).unwrap();
        assert!(optimizer.is_split() && optimizer.clone().is_split());
        assert_bits(&masters(&optimizer, &mut shown), &shown.map(bf16::to_f32), &"as they are in bf16");
        let mut other = shown;
        optimizer.set_masters(&[1.001; 3], &mut [Tensor::of(&mut other)]).unwrap();
        optimizer.set_split(true).unwrap();
        assert_bits(&masters(&optimizer, &mut other), &[1.001; 3], &"asked for twice");
        assert_bits(&masters(&optimizer.clone(), &mut other), &[1.001; 3], &"a copy");
        optimizer.set_split(false).unwrap();
    }
}

#[test]
fn parameters_that_are_no_halves_are_refused() {
    let layout = Layout::new([("a", 2), ("b", 1)]).unwrap();
    let mut optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), layout).unwrap();
    let (mut a, mut b, grads) = ([bf16::ONE; 2], [1.5_f32], [0.5_f32; 3]);
    let mut numbers = [7.0; 3];
    let none = optimizer.masters(&[Tensor::of(&mut a), Tensor::of(&mut b)], &mut numbers).unwrap_err();
    assert_eq!(none, Error::NoSplit);
    assert_eq!(none.to_string(), "there are no lower halves of parameters: `set_split` asks for them");
    let tensors = &mut [Tensor::of(&mut a), Tensor::of(&mut b)];
    assert_eq!(optimizer.set_masters(&[2.0; 3], tensors), Err(Error::NoSplit));

    optimizer.set_ema(0.5).unwrap();
    let tensors = &mut [Tensor::new(&mut a, &grads[..2]), Tensor::new(&mut b, &grads[2..])];
    optimizer.step_with(tensors, &Pipeline::default()).unwrap();
    let (average, before) = (optimizer.ema().unwrap().to_vec(), (a, b));
    optimizer.set_split(true).unwrap();
    let split = Error::Split { index: 1, name: Some("b".into()), found: Format::F32 };
    assert_eq!(
        split.to_string(),
        "tensor 1 (\"b\") has parameters in F32, but with `set_split` they must be in BF16"
    );
    let mut zeroed = grads;
    let (to_a, to_b) = zeroed.split_at_mut(2);
    let tensors = &mut [Tensor::zeroing(&mut a, to_a), Tensor::zeroing(&mut b, to_b)];
    assert_eq!(optimizer.step_with(tensors, &Pipeline::default()).unwrap_err(), split);
    assert_eq!(optimizer.swap_ema(tensors).unwrap_err(), split);
    assert_eq!(optimizer.masters(tensors, &mut numbers).unwrap_err(), split);
    assert_eq!(optimizer.set_masters(&[2.0; 3], tensors).unwrap_err(), split);
    let mut flat = [1.5; 3];
    let found = optimizer.step(&mut flat, &grads).unwrap_err();
    assert!(matches!(found, Error::Split { index: 0, found: Format::F32, .. }), "{found}");
    let mut halves = [bf16::ONE; 3];
    let short = Error::Length { what: "masters", expected: 3, found: 2 };
    assert_eq!(optimizer.masters(&[Tensor::of(&mut halves)], &mut numbers[..2]), Err(short.clone()));
    assert_eq!(optimizer.set_masters(&[2.0; 2], &mut [Tensor::of(&mut halves)]), Err(short));
    assert_eq!((a, b, zeroed, numbers, flat), (before.0, before.1, grads, [7.0; 3], [1.5; 3]));
    assert_eq!((optimizer.steps(), optimizer.ema()), (1, Some(&average[..])));
    assert_bits(&masters(&optimizer, &mut halves), &[1.0; 3], &"lower halves of zero");

    // Nor while parameters are away.
    optimizer.swap_ema(&mut [Tensor::of(&mut halves)]).unwrap();
    assert_eq!(optimizer.set_split(false), Err(Error::Swapped));
    assert!(optimizer.is_split());
    // What has no elements may be of any.
    let layout = Layout::new([("none", 0), ("a", 1)]).unwrap();
    let mut optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), layout).unwrap();
    optimizer.set_split(true).unwrap();
    let tensors = &mut [Tensor::default(), Tensor::new(&mut a[..1], &grads[..1])];
    optimizer.step_with(tensors, &Pipeline::default()).unwrap();
}

/// Of any parameters, what a step leaves before it is rounded.
#[test]
fn a_copy_is_what_is_nearest_to_the_new_parameters() {
    let rng = &mut fastrand::Rng::with_seed(2);
    let elements = [Format::F32, Format::Bf16, Format::F16];
    for (index, rule) in each_option().into_iter().enumerate() {
        let len = *rng.choice(&[1, 16, 37, 513, 1100]).unwrap();
        let numbers = if index % 2 == 0 { hostile } else { ordinary };
        let (groups, cuts, pipeline) = (groups(rng, rule, len), cuts(rng, len), pipeline(rng));
        let (of_params, of_grads) = (*rng.choice(&elements).unwrap(), *rng.choice(&elements).unwrap());
        let split = of_params == Format::Bf16 && rng.bool();
        let parts: Vec<_> = cuts.windows(2).map(|ends| ends[0]..ends[1]).collect();
        let of_copies: Vec<_> =
            parts.iter().map(|_| rng.choice([None, Some(0), Some(1), Some(2)]).unwrap()).collect();
        let (start, zeroing, decay) = (numbers(rng, len), rng.bool(), rng.bool().then_some(0.75));
        let format = *rng.choice(Format::all()).unwrap();
        for (level, parallelism) in ways(index) {
            let mut optimizer = Optimizer::with_groups(groups.clone(), len).unwrap();
            optimizer.set_level(level);
            optimizer.set_parallelism(parallelism);
            optimizer.set_ema(decay).unwrap();
            optimizer.set_state_format(None, format).unwrap();
            optimizer.set_rounding(Rounding::Stochastic { seed: 9 });
            optimizer.set_split(split).unwrap();
            let mut params: Vec<_> =
                parts.iter().map(|part| Numbers::new(&start[part.clone()], of_params)).collect();
            let mut copies: Vec<_> = (parts.iter().zip(&of_copies))
                .map(|(part, of)| of.map(|of| Numbers::new(&vec![1234.0; part.len()], elements[of])))
                .collect();
            for step in 0..3 {
                let context = (rule, &cuts, of_params, of_grads, &of_copies, split, level, parallelism, step);
                let grads = numbers(rng, len);
                let mut grads: Vec<_> =
                    parts.iter().map(|part| Numbers::new(&grads[part.clone()], of_grads)).collect();

                // The same step with parameters in f32.
                let mut fresh = flat(&params);
                if split {
                    let mut shown: Vec<_> = fresh.iter().copied().map(bf16::from_f32).collect();
                    fresh = masters(&optimizer, &mut shown);
                }
                let mut twin = optimizer.clone();
                twin.set_split(false).unwrap();
                let mut twins = flat(&grads);
                let expected =
                    twin.step_with(&mut tensors(&mut fresh, &mut twins, &cuts, false), &pipeline).unwrap();

                let before: Vec<_> = copies.iter().map(|copy| copy.as_ref().map(Numbers::to_f32)).collect();
                let mut handed = Vec::new();
                for ((params, grads), copy) in params.iter_mut().zip(&mut grads).zip(&mut copies) {
                    let tensor = params.tensor(grads, zeroing);
                    handed.push(match copy {
                        None => tensor,
                        Some(Numbers::F32(copy)) => tensor.mirrored(copy),
                        Some(Numbers::Bf16(copy)) => tensor.mirrored(copy),
                        Some(Numbers::F16(copy)) => tensor.mirrored(copy),
                    });
                }
                let report = optimizer.step_with(&mut handed, &pipeline).unwrap();
                assert_eq!(report.skipped, expected.skipped);
                if zeroing {
                    assert!(flat(&grads).iter().all(|g| g.to_bits() == 0), "{context:?}");
                }
                if of_params == Format::F32 {
                    assert_bits(&flat(&params), &fresh, &context);
                }
                let mut stepped = vec![!report.skipped; len];
                for group in groups.iter().filter(|group| group.frozen) {
                    group.ranges.iter().for_each(|range| stepped[range.clone()].fill(false));
                }
                for ((part, copy), before) in parts.iter().zip(&copies).zip(before) {
                    let (Some(copy), Some(mut expected)) = (copy, before) else { continue };
                    let now = Numbers::new(&fresh[part.clone()], copy.format()).to_f32();
                    for ((expected, now), stepped) in expected.iter_mut().zip(now).zip(&stepped[part.clone()])
                    {
                        *expected = if *stepped { now } else { *expected };
                    }
                    assert_bits(&copy.to_f32(), &expected, &("copy", part, context));
                }
                for name in optimizer.state_names() {
                    assert_bits(&read(&optimizer, name), &read(&twin, name), &(name, context));
                }
            }
        }
    }
}

fn flat(parts: &[Numbers]) -> Vec<f32> {
    parts.iter().flat_map(Numbers::to_f32).collect()
}

#[test]
fn a_copy_of_another_length_is_refused() {
    let layout = Layout::new([("a", 2), ("b", 3)]).unwrap();
    for (name, layout) in [(Some("b"), layout), (None, 5.into())] {
        let mut optimizer = Optimizer::new(AdamW::default(), layout).unwrap();
        let (mut a, mut b, mut grads) = ([1.0_f32; 2], [1.0_f32; 3], [0.5_f32; 5]);
        for copy in [0, 2, 4] {
            let (mut whole, mut other) = ([9.0_f32; 2], vec![bf16::ONE; copy]);
            let (to_a, to_b) = grads.split_at_mut(2);
            let tensors = &mut [
                Tensor::zeroing(&mut a, to_a).mirrored(&mut whole),
                Tensor::zeroing(&mut b, to_b).mirrored(&mut other),
            ];
            let error = optimizer.step_with(tensors, &Pipeline::default()).unwrap_err();
            let expected = Error::Mirror { index: 1, name: name.map(str::to_owned), params: 3, copy };
            assert_eq!(error, expected);
            let named = name.map_or_else(String::new, |name| format!(" ({name:?})"));
            assert_eq!(error.to_string(), format!("tensor 1{named} has 3 parameters, but a copy of {copy}"));
            assert_eq!((whole, other), ([9.0; 2], vec![bf16::ONE; copy]));
        }
        assert_eq!((a, b, grads, optimizer.steps()), ([1.0; 2], [1.0; 3], [0.5; 5], 0));
    }
}
