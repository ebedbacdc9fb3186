//! What each part of the pipeline means, in numbers worked out by hand, and the norm at sizes that fill its tree.

use crate::cases::{FEW, assert_bits, hostile, ordinary, parallelisms};
use crate::piped::{Model, Way, assert_same_report};
use crate::variants::layerwise;
use lanestep::{
    AdamW, AnyRule, Error, Gradients, Group, Lamb, Level, NonFinite, Optimizer, Parallelism, Pipeline, Sgd,
    Tensor, reference,
};

fn descent() -> Sgd {
    Sgd { lr: 1.0, ..Sgd::default() }
}

/// The parameters after one step of plain descent from zero: the gradients as they went in, negated.
fn handed(grads: &[f32], pipeline: Pipeline) -> Vec<f32> {
    let mut params = vec![0.0; grads.len()];
    let mut optimizer = Optimizer::new(descent(), grads.len()).unwrap();
    optimizer.step_with(&mut [Tensor::new(&mut params, grads)], &pipeline).unwrap();
    params
}

#[test]
fn scale_comes_first_then_the_norm_then_the_clamp() {
    let grads = [6.0, 8.0, 0.0];
    let scaled = Pipeline { scale: 0.5, ..Pipeline::default() };
    assert_eq!(handed(&grads, scaled), [-3.0, -4.0, 0.0]);
    let clipped = handed(&grads, Pipeline { max_norm: Some(2.5), ..scaled });
    for (found, expected) in clipped.iter().zip([-1.5, -2.0, 0.0]) {
        assert!((found - expected).abs() < 1e-6, "{clipped:?}");
    }
    let clamped = Pipeline { max_norm: Some(2.5), clip_value: Some(1.75), ..scaled };
    assert_eq!(handed(&grads, clamped)[1], -1.75);
    assert_eq!(
        handed(&grads, Pipeline { min_param: Some(-3.5), max_param: Some(-0.5), ..scaled }),
        [-3.0, -3.5, -0.5]
    );
}

/// Coefficients too small for a normal `f32`: the first has two bits there, the second none, and the last make zero of all.
#[test]
fn the_report_is_what_the_step_did_to_huge_gradients_too() {
    let grads = [1e38, -2e38, 3e38];
    let (scaled, clipped) = (
        |scale| Pipeline { scale, measure_grads: true, measure_update: true, ..Pipeline::default() },
        |norm| Pipeline { max_norm: Some(norm), measure_update: true, ..Pipeline::default() },
    );
    for scale in [1e-37, 1.2e-38, 1e-38, 2e-45, 1e-46, 1e-60, 1e-74, 1e-80] {
        let mut params = [0.0; 3];
        let mut optimizer = Optimizer::new(descent(), 3).unwrap();
        let tensors = &mut [Tensor::new(&mut params, &grads)];
        let report = optimizer.step_with(tensors, &scaled(scale)).unwrap();
        let (told, done) = (report.grads.unwrap().norm, report.update.unwrap().norm);
        let subnormal = f64::from(f32::MIN_POSITIVE) * 3.0;
        assert!((told - done).abs() <= 1e-7 * told + subnormal, "{scale:e}: {told:e}, {done:e}");
    }
    for norm in [1.0, 1e-7, 1e-30] {
        let mut params = [0.0; 3];
        let mut optimizer = Optimizer::new(descent(), 3).unwrap();
        let tensors = &mut [Tensor::new(&mut params, &grads)];
        let report = optimizer.step_with(tensors, &clipped(norm)).unwrap();
        let done = report.update.unwrap().norm;
        assert!((done - norm).abs() <= 1e-7 * norm, "{norm:e}: {done:e}");
        assert!((report.clip_factor * report.grads.unwrap().norm / norm - 1.0).abs() < 1e-9);
    }
}

#[test]
fn clipping_is_pytorchs_to_the_epsilon() {
    let grads = [3.0_f32, 4.0];
    for max_norm in [0.0, 1e-3, 1.0, 4.999_999, 5.0, 5.000_001, 5.000_002, 1e30] {
        let factor = (max_norm / (5.0 + 1e-6_f64)).min(1.0);
        let found = handed(&grads, Pipeline { max_norm: Some(max_norm), ..Pipeline::default() });
        assert_eq!(found, grads.map(|g| -g * factor as f32), "{max_norm}");
    }
    let nan = handed(&[f32::NAN, 1.0], Pipeline { max_norm: Some(1.0), ..Pipeline::default() });
    assert!(nan.iter().all(|p| p.is_nan()), "as in PyTorch");
    let infinite = handed(&[f32::INFINITY, 1.0], Pipeline { max_norm: Some(1.0), ..Pipeline::default() });
    assert!(infinite[0].is_nan() && infinite[1] == 0.0, "as in PyTorch");
    let measured = handed(&[f32::NAN, 1.0], Pipeline { measure_grads: true, ..Pipeline::default() });
    assert!(measured[0].is_nan() && measured[1] == -1.0, "measuring changes nothing");
}

#[test]
fn the_norm_neither_overflows_nor_vanishes() {
    let pipeline = Pipeline { max_norm: Some(1.0), ..Pipeline::default() };
    for size in [f32::MAX, 1e38, 1e-20, 1e-30, 1e-45] {
        let mut optimizer = Optimizer::new(descent(), 4).unwrap();
        let (mut params, grads) = ([0.0; 4], [size, -size, size, -size]);
        let report = optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline).unwrap();
        let norm = report.grads.unwrap().norm;
        assert_eq!(norm, 2.0 * f64::from(size));
        if size > 1.0 {
            params.iter().for_each(|p| assert!((p.abs() - 0.5).abs() < 1e-6, "{p}"));
        }
    }
}

/// Against Neumaier's compensated sum. The products have all their bits: squares of numbers on a grid end alike, and
/// would all be rounded down.
#[test]
fn the_norm_is_right() {
    let rng = &mut fastrand::Rng::with_seed(8);
    let grads: Vec<f32> = (0..200_003).map(|_| (rng.f32() - 0.5) * rng.f32()).collect();
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for g in &grads {
        let square = f64::from(*g) * f64::from(*g);
        let next = sum + square;
        lost += if sum >= square { (sum - next) + square } else { (square - next) + sum };
        sum = next;
    }
    let mut optimizer = Optimizer::new(descent(), grads.len()).unwrap();
    let pipeline = Pipeline { measure_grads: true, ..Pipeline::default() };
    let mut params = vec![0.0; grads.len()];
    let report = optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline).unwrap();
    approx::assert_relative_eq!(report.grads.unwrap().norm, (sum + lost).sqrt(), max_relative = 1e-15);
}

/// Every level, number of threads, grain and cut; at sizes around the leaves and over several of them.
#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads")]
fn reports_are_the_same_bits_however_the_call_is_made() {
    let rng = &mut fastrand::Rng::with_seed(3);
    let pools: Vec<_> = [1, 2, 5]
        .into_iter()
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
        .collect();
    let leaf = 1 << 14;
    for len in [1, leaf - 1, leaf, leaf + 1, 2 * leaf + 16, 3 * leaf + 77, 9 * leaf - 5] {
        let (params, grads) = (ordinary(rng, len), ordinary(rng, len));
        let third = len / 3;
        let groups = [
            Group { frozen: len % 2 == 0, ..Group::new(AnyRule::from(descent()), third..len) },
            Group::new(AdamW::default().into(), 0..third),
        ];
        let groups = if len == 1 { vec![Group::new(descent().into(), 0..1)] } else { groups.to_vec() };
        let pipeline = Pipeline {
            max_norm: Some(1.0),
            measure_update: true,
            non_finite: NonFinite::Skip,
            ..Pipeline::default()
        };
        let mut model = Model::new(groups.clone(), params.clone());
        let flat = Way {
            level: Level::best(),
            parallelism: Parallelism::Serial,
            cuts: vec![],
            zeroing: Some(1),
            idle: None,
        };
        let expected = model.step(&grads, &pipeline, &flat).unwrap();
        let mut cuts: Vec<usize> = (0..rng.usize(..40)).map(|_| rng.usize(..=len)).collect();
        cuts.sort_unstable();
        for cuts in [vec![], cuts] {
            for level in Level::available() {
                for parallelism in parallelisms() {
                    for pool in &pools {
                        let way = Way { level, parallelism, cuts: cuts.clone(), ..flat.clone() };
                        let mut optimizer = Optimizer::with_groups(groups.clone(), len).unwrap();
                        optimizer.set_level(level);
                        optimizer.set_parallelism(parallelism);
                        let mut found_params = params.clone();
                        let call = || way.step(&mut optimizer, &mut found_params, &grads, &pipeline);
                        let found = pool.install(call).unwrap();
                        assert_same_report(&found, &expected, &way);
                        model.assert_is(&optimizer, &found_params, &way);
                    }
                }
            }
        }
    }
}

/// With layers as tensors and groups cut them, small and large, at sizes around the leaves and over several of them.
#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads")]
fn layerwise_steps_are_the_same_bits_on_any_number_of_threads() {
    let rng = &mut fastrand::Rng::with_seed(4);
    let pools: Vec<_> = [1, 3]
        .into_iter()
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
        .collect();
    let leaf = 1 << 14;
    let rules = AnyRule::all().into_iter().filter(layerwise);
    for (rule, len) in rules.flat_map(|rule| [leaf + 1, 3 * leaf + 77].map(|len| (rule, len))) {
        let (params, grads) = (ordinary(rng, len), ordinary(rng, len));
        let third = len / 3;
        let groups = [
            Group::over(rule, [0..third, third + 5..third + 6]),
            Group { frozen: len % 2 == 0, ..Group::new(AdamW::default().into(), third..third + 5) },
            Group { lr_scale: 3.0, ..Group::new(rule, third + 6..len) },
        ];
        let pipeline = Pipeline { max_norm: Some(1.0), measure_update: true, ..Pipeline::default() };
        let mut cuts: Vec<usize> = (0..40).map(|_| rng.usize(..=len)).collect();
        cuts.sort_unstable();
        for (cuts, idle) in [(vec![], None), (vec![0, 0, third + 2, len, len], None), (cuts, Some(1))] {
            let (level, parallelism) = (Level::best(), Parallelism::Serial);
            let way = Way { level, parallelism, cuts, zeroing: Some(1), idle };
            let mut model = Model::new(groups.to_vec(), params.clone());
            let reports = [(); 2].map(|()| model.step(&grads, &pipeline, &way).unwrap());
            for (level, parallelism) in Level::available().into_iter().zip(parallelisms().into_iter().cycle())
            {
                for pool in &pools {
                    let way = Way { level, parallelism, ..way.clone() };
                    let mut optimizer = Optimizer::with_groups(groups.clone(), len).unwrap();
                    optimizer.set_level(level);
                    optimizer.set_parallelism(parallelism);
                    let mut found_params = params.clone();
                    for report in &reports {
                        let call = || way.step(&mut optimizer, &mut found_params, &grads, &pipeline);
                        assert_same_report(&pool.install(call).unwrap(), report, &way);
                    }
                    model.assert_is(&optimizer, &found_params, &way);
                }
            }
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_found_wherever_it_is() {
    let leaf = 1 << 14;
    for len in [40, 2 * leaf + 50] {
        let rng = &mut fastrand::Rng::with_seed(len as u64);
        let grads = ordinary(rng, len);
        let places: Vec<usize> =
            if len == 40 { (0..len).collect() } else { (0..30).map(|_| rng.usize(..len)).collect() };
        for at in places {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
                let mut grads = grads.clone();
                grads[at] = bad;
                grads[len - 1] = bad;
                let count = if at == len - 1 { 1 } else { 2 };
                for level in Level::available() {
                    let mut optimizer = Optimizer::new(AdamW::default(), len).unwrap();
                    optimizer.set_level(level);
                    let mut params = vec![0.5; len];
                    let strict = Pipeline { non_finite: NonFinite::Error, ..Pipeline::default() };
                    let tensors = &mut [Tensor::new(&mut params, &grads)];
                    let error = optimizer.step_with(tensors, &strict).unwrap_err();
                    assert_eq!(error, Error::NonFinite { count, first: at, tensor: None });
                }
            }
        }
    }
}

/// One NaN in one group, and nothing anywhere has changed.
#[test]
fn a_skip_is_atomic_over_all_groups() {
    AnyRule::all().chunks(FEW).for_each(skipped_together);
}

fn skipped_together(rules: &[AnyRule]) {
    let rules = || rules.iter().copied().enumerate();
    let len = 100 * rules().count();
    let groups = || rules().map(|(i, rule)| Group::new(rule, 100 * i..100 * i + 100));
    let mut optimizer = Optimizer::with_groups(groups(), len).unwrap();
    let mut params = vec![0.5; len];
    optimizer.step(&mut params, &vec![0.25; len]).unwrap();
    let before = (params.clone(), optimizer.clone());
    let mut grads = vec![0.25; len];
    grads[len - 50] = f32::NAN;
    for non_finite in [NonFinite::Skip, NonFinite::Error] {
        let pipeline = Pipeline { non_finite, max_norm: Some(1.0), ..Pipeline::default() };
        let mut handed = grads.clone();
        let found = optimizer.step_with(&mut [Tensor::zeroing(&mut params, &mut handed)], &pipeline);
        match found {
            Ok(report) => {
                assert_eq!(non_finite, NonFinite::Skip);
                assert!(report.skipped);
                assert_eq!(report.grads.unwrap().first_non_finite, Some(len - 50));
                assert!(handed.iter().all(|&g| g == 0.0), "zeroing was asked for");
            }
            Err(error) => {
                assert_eq!(error, Error::NonFinite { count: 1, first: len - 50, tensor: None });
                assert_eq!(
                    error.to_string(),
                    format!("gradients are not finite: 1 in all, the first at {}", len - 50)
                );
                assert_bits(&handed, &grads, &"an error writes nothing");
            }
        }
        assert_bits(&params, &before.0, &non_finite);
        assert_eq!(optimizer.steps(), 1);
        for (i, (_, rule)) in rules().enumerate() {
            assert_eq!(optimizer.group_steps(i), Some(1));
            for name in lanestep::Rule::slots(&rule) {
                assert_bits(optimizer.state(name).unwrap(), before.1.state(name).unwrap(), name);
            }
        }
    }
}

#[test]
fn what_overflows_when_scaled_is_not_finite() {
    let pipeline = Pipeline { scale: 4.0, non_finite: NonFinite::Error, ..Pipeline::default() };
    let limit = f32::MAX / 4.0;
    let mut optimizer = Optimizer::new(descent(), 2).unwrap();
    let mut step = |g: f32| optimizer.step_with(&mut [Tensor::new(&mut [0.0; 2], &[1.0, g])], &pipeline);
    assert!(step(limit).is_ok());
    assert_eq!(step(limit.next_up()).unwrap_err(), Error::NonFinite { count: 1, first: 1, tensor: None });
}

#[test]
fn update_and_weights_are_measured() {
    let mut optimizer = Optimizer::new(descent(), 2).unwrap();
    let pipeline = Pipeline { measure_update: true, ..Pipeline::default() };
    let mut params = [6.0, 12.0];
    let report = optimizer.step_with(&mut [Tensor::new(&mut params, &[3.0, 4.0])], &pipeline).unwrap();
    let update = report.update.unwrap();
    assert_eq!((update.norm, update.params_norm, params), (5.0, 73_f64.sqrt(), [3.0, 8.0]));
    assert_eq!(update.ratio(), 5.0 / 73_f64.sqrt());
    assert_eq!((report.grads, report.clip_factor, report.skipped), (None, 1.0, false));
}

#[test]
fn bad_options_are_named_and_nothing_is_written() {
    let good = Pipeline::default();
    let bad = [
        ("scale", Pipeline { scale: -1.0, ..good }),
        ("scale", Pipeline { scale: f64::NAN, ..good }),
        ("scale", Pipeline { scale: 1e39, ..good }),
        ("max_norm", Pipeline { max_norm: Some(-1.0), ..good }),
        ("max_norm", Pipeline { max_norm: Some(f64::NAN), ..good }),
        ("max_norm", Pipeline { max_norm: Some(f64::INFINITY), ..good }),
        ("clip_value", Pipeline { clip_value: Some(-1.0), ..good }),
        ("clip_value", Pipeline { clip_value: Some(f64::INFINITY), ..good }),
        ("min_param", Pipeline { min_param: Some(f64::NAN), ..good }),
        ("min_param", Pipeline { min_param: Some(1e39), ..good }),
        ("max_param", Pipeline { max_param: Some(f64::NAN), ..good }),
        ("max_param", Pipeline { max_param: Some(f64::INFINITY), ..good }),
        ("max_param", Pipeline { max_param: Some(-1e39), ..good }),
        ("max_param", Pipeline { min_param: Some(1.0), max_param: Some(0.5), ..good }),
    ];
    let mut optimizer = Optimizer::new(descent(), 2).unwrap();
    let (mut params, mut grads) = ([1.0, 2.0], [1.0, 1.0]);
    for (expected, pipeline) in bad {
        let tensors = &mut [Tensor::zeroing(&mut params, &mut grads)];
        match optimizer.step_with(tensors, &pipeline).unwrap_err() {
            Error::Hyperparameter { name, .. } => assert_eq!(name, expected, "{pipeline:?}"),
            other => panic!("{other}"),
        }
    }
    assert_eq!((params, grads, optimizer.steps()), ([1.0, 2.0], [1.0; 2], 0));
}

#[test]
fn tensors_of_other_lengths_are_refused_and_nothing_is_written() {
    let mut optimizer = Optimizer::new(descent(), 5).unwrap();
    let (mut a, mut b) = ([1.0; 3], [2.0; 2]);
    let wrong = optimizer.step_with(
        &mut [Tensor::new(&mut a, &[1.0; 3]), Tensor::new(&mut b, &[1.0; 3])],
        &Pipeline::default(),
    );
    assert_eq!(wrong, Err(Error::Tensor { index: 1, name: None, params: 2, grads: 3 }));
    assert_eq!(wrong.unwrap_err().to_string(), "tensor 1 has 2 parameters, but 3 gradients");
    let few = optimizer.step_with(&mut [Tensor::new(&mut a, &[1.0; 3])], &Pipeline::default());
    assert_eq!(few, Err(Error::Length { what: "params", expected: 5, found: 3 }));
    assert_eq!(
        optimizer.step_with(&mut [], &Pipeline::default()),
        Err(Error::Length { what: "params", expected: 5, found: 0 })
    );
    assert_eq!((a, b, optimizer.steps()), ([1.0; 3], [2.0; 2], 0));
}

#[test]
fn empty_tensors_do_no_harm() {
    let mut optimizer = Optimizer::new(descent(), 3).unwrap();
    let (mut a, mut b) = ([1.0; 1], [2.0; 2]);
    let tensors = &mut [
        Tensor::default(),
        Tensor::new(&mut a, &[0.5]),
        Tensor::default(),
        Tensor::default(),
        Tensor::new(&mut b, &[1.0; 2]),
        Tensor::default(),
    ];
    optimizer.step_with(tensors, &Pipeline::default()).unwrap();
    assert_eq!((a, b), ([0.5], [1.0; 2]));
}

#[test]
fn a_norm_in_plain_loops() {
    let rng = &mut fastrand::Rng::with_seed(1);
    for len in [0, 1, 15, 16, 17, 1000, 16_384, 16_385, 70_000] {
        let grads = hostile(rng, len);
        let squares: Vec<f64> = grads.iter().map(|&g| f64::from(g) * f64::from(g)).collect();
        let expected = reference::sum(&squares).sqrt();
        let mut optimizer = Optimizer::new(descent(), len).unwrap();
        let mut params = vec![0.0; len];
        let pipeline = Pipeline { measure_grads: true, ..Pipeline::default() };
        let report = optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline).unwrap();
        let found = report.grads.unwrap().norm;
        assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{len}");
    }
}

#[test]
fn the_largest_magnitude_is_nan_whichever_leaf_holds_it() {
    for at in [0, 20_000] {
        let mut grads = vec![1.0; 40_000];
        grads[at] = f32::NAN;
        assert!(Gradients::of(&grads).max_abs.is_nan(), "{at}");
    }
}

/// All that is not zero belongs to lane 0, where 1 is too large to be changed by the others one at a time.
#[test]
fn an_element_keeps_its_lane_whatever_tensor_holds_it() {
    let len = 1 << 14;
    let mut params: Vec<f32> = (0..len).map(|i| if i % 16 == 0 { 2_f32.powi(-27) } else { 0.0 }).collect();
    params[0] = 1.0;
    let grads = params.clone();
    let mut optimizer = Optimizer::new(Sgd { lr: 0.0, ..Sgd::default() }, len).unwrap();
    let pipeline = Pipeline { measure_grads: true, measure_update: true, ..Pipeline::default() };
    let (mut rest, mut tensors, mut start) = (&mut params[..], vec![], 0);
    while !rest.is_empty() {
        let (now, after) = rest.split_at_mut(rest.len().min(21));
        tensors.push(Tensor::new(now, &grads[start..(start + 21).min(len)]));
        (rest, start) = (after, start + 21);
    }
    let report = optimizer.step_with(&mut tensors, &pipeline).unwrap();
    assert_eq!((report.grads.unwrap().norm, report.update.unwrap().params_norm), (1.0, 1.0));
}

#[test]
fn too_many_elements_are_refused() {
    let mut optimizer = Optimizer::new(descent(), 2).unwrap();
    assert_eq!(
        optimizer.step_with(&mut [Tensor::new(&mut [1.0; 3], &[1.0; 3])], &Pipeline::default()),
        Err(Error::Length { what: "params", expected: 2, found: 3 })
    );
}

#[test]
fn bounds_may_meet_and_tiny_scales_hold() {
    let mut optimizer = Optimizer::new(descent(), 1).unwrap();
    let mut step = |grad: f32, pipeline: Pipeline| {
        let mut params = [0.0];
        let report = optimizer.step_with(&mut [Tensor::new(&mut params, &[grad])], &pipeline).unwrap();
        (params[0], report)
    };
    let fixed = Pipeline { min_param: Some(0.5), max_param: Some(0.5), ..Pipeline::default() };
    assert_eq!(step(1.0, fixed).0, 0.5);
    let measured = Pipeline { measure_grads: true, scale: 0.5, ..Pipeline::default() };
    let (_, report) = step(4.0, measured);
    let grads = report.grads.unwrap();
    assert_eq!((grads.norm, grads.max_abs, report.clip_factor), (2.0, 2.0, 1.0));
    let tiny = Pipeline { scale: 1e-39, ..Pipeline::default() };
    assert!(step(f32::MAX, tiny).0 < -0.3);
}

#[test]
fn gradients_of_counts_infinity_to_the_last() {
    let mut grads = [1.0; 17];
    grads[16] = f32::INFINITY;
    let found = Gradients::of(&grads);
    assert_eq!((found.non_finite, found.first_non_finite), (1, Some(16)));
}

#[test]
fn the_largest_gradient_that_stays_finite_at_any_scale() {
    let rng = &mut fastrand::Rng::with_seed(5);
    let mut optimizer = Optimizer::new(descent(), 1).unwrap();
    for _ in 0..200 {
        let scale = f64::from(1.0 + rng.f32()) * 2_f64.powi(rng.i32(0..100));
        let finite =
            |bits: &u32| lanestep::reference::condition(f32::from_bits(*bits), scale, None).is_finite();
        let (mut low, mut high) = (0, f32::INFINITY.to_bits());
        while high - low > 1 {
            let mid = low + (high - low) / 2;
            if finite(&mid) { low = mid } else { high = mid }
        }
        let pipeline = Pipeline { scale, measure_grads: true, ..Pipeline::default() };
        let mut count = |bits| {
            let (mut params, grads) = ([0.0], [f32::from_bits(bits)]);
            optimizer
                .step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline)
                .unwrap()
                .grads
                .unwrap()
                .non_finite
        };
        assert_eq!((count(low), count(high)), (0, 1), "{scale}");
    }
}

/// Which cut between layers comes first shows in the last bits of a sum.
#[test]
fn changes_are_summed_along_the_cuts() {
    let lamb = AnyRule::from(Lamb::default());
    let inside = vec![Group::over(lamb, [0..50, 130..200]), Group::new(lamb, 50..130)];
    for (groups, cuts) in [(inside, vec![]), (vec![Group::new(lamb, 0..200)], vec![50, 100, 150])] {
        assert_sums(&groups, &cuts);
    }
}

fn assert_sums(groups: &[Group<AnyRule>], cuts: &[usize]) {
    let rng = &mut fastrand::Rng::with_seed(6);
    let pipeline = Pipeline { measure_update: true, ..Pipeline::default() };
    let (level, parallelism) = (Level::best(), Parallelism::Serial);
    let way = Way { level, parallelism, cuts: cuts.to_vec(), zeroing: None, idle: None };
    for _ in 0..20 {
        let (mut params, grads) = (ordinary(rng, 200), ordinary(rng, 200));
        let expected = Model::new(groups.to_vec(), params.clone()).step(&grads, &pipeline, &way).unwrap();
        let mut optimizer = Optimizer::with_groups(groups.to_vec(), 200).unwrap();
        let found = way.step(&mut optimizer, &mut params, &grads, &pipeline).unwrap();
        assert_same_report(&found, &expected, &way);
    }
}

/// It has no layers that would cut anything apart.
#[test]
fn changes_are_summed_as_if_a_frozen_group_were_not_there() {
    let frozen = Group { frozen: true, ..Group::new(AnyRule::from(Lamb::default()), 80..90) };
    let stepped = Group::over(AdamW::default().into(), [0..80, 90..200]);
    assert_sums(&[frozen, stepped], &[30, 50, 110]);
}
