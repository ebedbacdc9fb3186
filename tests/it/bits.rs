//! The same bits at every level, length, alignment, number of threads, grain and cut.

use crate::cases::{Outcome, Run, assert_same, hostile, ordinary};
use crate::variants::{each_option, every_combination, layerwise};
use lanestep::{Level, Optimizer, Parallelism, Rule};

#[test]
fn a_level_that_the_cpu_has_is_there() {
    let names: Vec<_> = Level::available().iter().map(|level| level.name()).collect();
    assert_eq!(names[0], "portable");
    #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
    {
        assert_eq!(names.contains(&"avx2"), is_x86_feature_detected!("avx2"));
        assert_eq!(names.contains(&"avx512"), is_x86_feature_detected!("avx512vbmi2"));
    }
    assert_eq!(names.last(), Some(&Level::best().name()));
}

#[test]
fn every_combination_of_options() {
    let rules = every_combination();
    assert!(rules.len() > 1000, "only {} combinations: has the list of options been lost?", rules.len());
    for (seed, rule) in (0..).zip(rules) {
        let numbers = if seed % 2 == 0 { ordinary } else { hostile };
        let run = Run::new(rule, 37, 4, seed, numbers);
        let expected = run.reference();
        for level in Level::available() {
            assert_same(&run.optimizer(level, Parallelism::Serial), &expected, &(rule, level));
        }
    }
}

#[test]
fn many_steps() {
    for (seed, rule) in (0..).zip(each_option()) {
        for numbers in [ordinary, hostile] {
            let run = Run::new(rule, 50, 60, seed, numbers);
            let expected = run.reference();
            for level in Level::available() {
                assert_same(&run.optimizer(level, Parallelism::Serial), &expected, &(rule, level));
            }
        }
    }
}

#[test]
fn every_length_up_to_two_lanes_and_every_start_in_one() {
    for rule in each_option() {
        for n in 0..=33 {
            let run = Run::new(rule, n, 2, n as u64, ordinary);
            let expected = run.reference();
            for level in Level::available() {
                let offset = n % 16;
                assert_same(
                    &run.misaligned(level, Parallelism::Serial, offset),
                    &expected,
                    &(rule, level, n),
                );
            }
        }
    }
    let rule = lanestep::AdamW::default().into();
    for offset in 0..16 {
        let run = Run::new(rule, 100, 2, 0, ordinary);
        for level in Level::available() {
            assert_same(
                &run.misaligned(level, Parallelism::Serial, offset),
                &run.reference(),
                &(level, offset),
            );
        }
    }
}

#[cfg(feature = "rayon")]
#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads")]
fn every_edge_of_a_grain_on_one_to_eight_threads() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let pools: Vec<_> = (1..=8).map(pool).collect();
    for rule in lanestep::AnyRule::all() {
        for grain in [0, 16, 31, 32, 48] {
            for n in
                [0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000]
            {
                let run = Run::new(rule, n, 2, n as u64, hostile);
                let expected = run.reference();
                for pool in &pools {
                    let level = Level::available()[n % Level::available().len()];
                    let found = pool.install(|| run.misaligned(level, Parallelism::Rayon { grain }, n % 3));
                    assert_same(&found, &expected, &(rule, n, grain, pool.current_num_threads()));
                }
            }
        }
    }
}

#[cfg(feature = "rayon")]
#[test]
fn every_edge_of_the_default_grain() {
    let Parallelism::Rayon { grain } = Parallelism::RAYON else { panic!("rayon by default") };
    for rule in lanestep::AnyRule::all() {
        for n in [grain - 1, grain, grain + 1, 2 * grain + 17] {
            let run = Run::new(rule, n, 2, 7, hostile);
            assert_same(&run.misaligned(Level::best(), Parallelism::RAYON, 1), &run.reference(), &(rule, n));
        }
    }
}

#[test]
fn every_cut() {
    const N: usize = 70;
    for rule in each_option().into_iter().filter(|rule| !layerwise(rule)) {
        let run = Run::new(rule, N, 3, 11, hostile);
        let expected = run.reference();
        for cut in 0..=N {
            let part = |range: std::ops::Range<usize>| {
                let grads = run.grads.iter().map(|grads| grads[range.clone()].to_vec()).collect();
                let part = Run { rule, params: run.params[range].to_vec(), grads };
                part.optimizer(Level::best(), Parallelism::default())
            };
            let (left, right) = (part(0..cut), part(cut..N));
            let params = [left.params, right.params].concat();
            let state = left.state.iter().zip(&right.state).map(|(l, r)| [&l[..], r].concat()).collect();
            assert_same(&Outcome { params, state }, &expected, &(rule, cut));
        }
    }
}

#[test]
fn the_learning_rate_of_each_step_is_the_one_last_set() {
    for rule in lanestep::AnyRule::all() {
        let run = Run::new(rule, 40, 10, 3, ordinary);
        let mut optimizer = Optimizer::new(rule, 40).unwrap();
        let (mut params, mut expected) = (run.params.clone(), run.params.clone());
        let mut state = vec![vec![0.0; 40]; rule.slots().len()];
        for (t, grads) in (1..).zip(&run.grads) {
            let mut rule = rule;
            let lr = 1.0 / t as f64;
            rule.set_lr(lr);
            rule.reference(t, &mut expected, grads, &mut state);
            optimizer.set_lr(lr).unwrap();
            assert_eq!(optimizer.lr().to_bits(), lr.to_bits());
            optimizer.step(&mut params, grads).unwrap();
        }
        crate::cases::assert_bits(&params, &expected, &rule);
        assert_ne!(params, run.params);
    }
}

#[test]
fn a_clone_goes_on_by_itself() {
    let run = Run::new(lanestep::Adam::default().into(), 20, 4, 5, ordinary);
    let mut optimizer = Optimizer::new(run.rule, 20).unwrap();
    let mut params = run.params.clone();
    optimizer.step(&mut params, &run.grads[0]).unwrap();
    let (mut copy, mut params_of_copy) = (optimizer.clone(), params.clone());
    for grads in &run.grads[1..] {
        optimizer.step(&mut params, grads).unwrap();
    }
    assert_eq!(copy.steps(), 1);
    for grads in &run.grads[1..] {
        copy.step(&mut params_of_copy, grads).unwrap();
    }
    crate::cases::assert_bits(&params_of_copy, &params, &"clone");
}
