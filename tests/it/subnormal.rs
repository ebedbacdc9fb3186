//! State is never left subnormal, and averages come to rest.

use crate::cases::{HOSTILE, Outcome, Run, assert_same, ordinary};
use crate::variants::{each_option, fields, layerwise, parse};
use ciborium::Value;
use lanestep::{AnyRule, Level, Optimizer, Parallelism};

fn steps(gradient: f32, n: usize) -> impl Iterator<Item = Vec<f32>> {
    std::iter::repeat_n(vec![gradient; 18], n)
}

/// Side by side in one call, but for rules that would sum them up.
#[test]
fn hundreds_of_steps_of_tiny_gradients() {
    let tiny = [0.0, -0.0, 1e-45, 1e-40, 1.2e-38, 1e-37, 1e-31, 1e-30, 1e-20, 2e-19, 4e-18];
    for rule in each_option() {
        let calls = if layerwise(&rule) {
            tiny.map(|gradient| vec![gradient; 18]).to_vec()
        } else {
            vec![tiny.repeat(5)]
        };
        for grads in calls {
            let mut run = Run::new(rule, grads.len(), 3, 1, ordinary);
            run.grads.extend(std::iter::repeat_n(grads.clone(), 900));
            let expected = run.reference();
            for slot in &expected.state {
                let subnormal = slot.iter().zip(&grads).find(|(x, _)| x.is_subnormal());
                assert_eq!(subnormal, None, "{rule:?}, state and gradient");
            }
            let level = Level::best();
            assert_same(&run.optimizer(level, Parallelism::Serial), &expected, &(rule, grads));
        }
    }
}

/// On both sides of the least number that each coefficient leaves normal, and of its root, to the last bit.
#[test]
fn products_are_zero_just_where_they_would_be_subnormal() {
    let coefficients = [1e-3, 1e-2, 0.1, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.9, 0.999, 1.0]
        .into_iter()
        .flat_map(|x: f64| [x as f32, (1.0 - x) as f32]);
    let edges = coefficients.filter(|&c| c > 0.0).flat_map(|c| {
        let edge = f32::MIN_POSITIVE / c;
        [edge, edge.sqrt()].map(|edge| (edge.to_bits() - 2..=edge.to_bits() + 2).map(f32::from_bits))
    });
    let grads: Vec<f32> = edges.flatten().flat_map(|x| [x, -x]).collect();
    for rule in each_option() {
        let params = [&grads[..], &vec![0.0; grads.len()]].concat();
        let grads = grads.repeat(2);
        let zeros = vec![0.0; grads.len()];
        let mut run = Run { rule, params, grads: vec![] };
        // Looked at after each step, as the next may hide a difference: averages arrive all the same.
        for grads in [&grads, &grads, &zeros, &zeros] {
            run.grads.push(grads.clone());
            let expected = run.reference();
            for level in Level::available() {
                assert_same(&run.optimizer(level, Parallelism::Serial), &expected, &(rule, level));
            }
        }
    }
}

/// Also where only the sign counts, and it is that of a subnormal number.
#[test]
fn to_maximize_is_to_minimize_the_negated() {
    for rule in each_option() {
        let way = |maximize: bool| {
            let mut map = fields(&rule);
            let option = map.iter_mut().find(|(name, _)| name.as_text() == Some("maximize"));
            option.expect("an option of all").1 = Value::Bool(maximize);
            parse(map)
        };
        let params: Vec<f32> = (0..HOSTILE.len()).map(|i| i as f32 - 9.0).collect();
        let grads = |by: f32| vec![HOSTILE.map(|g| if g == 0.0 { 0.0 } else { by * g }).to_vec(); 3];
        let [found, expected] = [(true, 1.0), (false, -1.0)].map(|(maximize, by)| {
            let run = Run { rule: way(maximize), params: params.clone(), grads: grads(by) };
            run.optimizer(Level::best(), Parallelism::Serial)
        });
        assert_same(&found, &expected, &rule);
    }
}

#[test]
fn the_first_moment_decays_to_zero_and_not_to_a_tiny_number() {
    for beta1 in [0.0, 0.3, 0.9, 0.99] {
        let rule = lanestep::Adam { betas: (beta1, 0.999), ..Default::default() };
        let mut optimizer = Optimizer::new(rule, 18).unwrap();
        let mut params = vec![1.0; 18];
        optimizer.step(&mut params, &[1.0; 18]).unwrap();
        for grads in steps(0.0, 9000) {
            optimizer.step(&mut params, &grads).unwrap();
        }
        assert_eq!(optimizer.state("exp_avg"), Some(&[0.0; 18][..]), "beta1 {beta1}");
        assert!(params.iter().all(|p| p.is_finite()));
    }
}

#[test]
fn where_nothing_ever_happened_an_eps_of_zero_divides_nothing_by_zero() {
    let zero = |rule: AnyRule| {
        let mut optimizer = Optimizer::new(rule, 18).unwrap();
        let mut params = vec![1.0; 18];
        steps(0.0, 3).for_each(|grads| optimizer.step(&mut params, &grads).unwrap());
        assert_eq!(params, [1.0; 18], "{rule:?}");
    };
    zero(lanestep::Adam { eps: 0.0, ..Default::default() }.into());
    zero(lanestep::NAdam { eps: 0.0, ..Default::default() }.into());
    zero(lanestep::RAdam { eps: 0.0, ..Default::default() }.into());
    zero(lanestep::RmsProp { eps: 0.0, ..Default::default() }.into());
    zero(lanestep::Adan { eps: 0.0, ..Default::default() }.into());
    zero(lanestep::AdEmaMix { eps: 0.0, weight_decay: 0.0, ..Default::default() }.into());
    zero(lanestep::Lamb { eps: 0.0, ..Default::default() }.into());
    zero(lanestep::AdamWScheduleFree { eps: 0.0, ..Default::default() }.into());
}

#[test]
fn an_average_arrives_at_a_constant() {
    for x in [1e-31_f32, -1e-33, 1e-36, 2e-38] {
        let rule = lanestep::Adam::default();
        let mut optimizer = Optimizer::new(rule, 18).unwrap();
        for grads in steps(x, 400) {
            optimizer.step(&mut [1.0; 18], &grads).unwrap();
        }
        let near = |m: &f32| ((m - x) / x).abs() < 1e-5;
        assert!(optimizer.state("exp_avg").unwrap().iter().all(near), "{x:e}");
    }
}

#[test]
fn state_that_decays_is_flushed_once_below_the_smallest_normal_number() {
    let rule = lanestep::Sgd { momentum: 0.5, ..Default::default() };
    let mut run = Run { rule: rule.into(), params: vec![0.0], grads: vec![vec![f32::MIN_POSITIVE * 2.0]] };
    run.grads.extend(vec![vec![0.0]; 1]);
    let Outcome { state, .. } = run.optimizer(Level::best(), Parallelism::Serial);
    assert_eq!(state[0][0].to_bits(), f32::MIN_POSITIVE.to_bits());
    run.grads.push(vec![0.0]);
    assert_eq!(run.optimizer(Level::best(), Parallelism::Serial).state[0][0].to_bits(), 0);
}
