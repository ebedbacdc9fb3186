//! Rules that PyTorch does not have: no farther from their paper's formula in `f64` than twice that formula in `f32`,
//! which is the measure that PyTorch's rules are held to as well. And for each, what its paper says of it.

use crate::distance::{assert_near, assert_state, distance};
use lanestep::{AnyRule, Optimizer, Rule};
use num_traits::Float;

/// A rule as its paper writes it.
trait Paper: Rule + Into<AnyRule> + Default + std::fmt::Debug {
    /// Step `t` from 1 over all elements, in the paper's order, with its own decay and nothing else of what rules share.
    /// The state is in the order of the rule's slots.
    fn paper<T: Float>(&self, t: i32, p: &mut [T], g: &[T], s: &mut [Vec<T>]);
}

/// A constant of the formula, rounded once.
fn c<T: Float>(x: f64) -> T {
    T::from(x).expect("a float takes any number")
}

/// Declares the modules, and the list of what is tested in them.
macro_rules! papers {
    ($($module:ident::$Rule:ident),+ $(,)?) => {
        $(mod $module;)+

        /// The names of the rules that are held to their paper.
        pub(crate) fn names() -> Vec<&'static str> {
            vec![$(AnyRule::from(lanestep::$Rule::default()).name()),+]
        }

        #[test]
        fn defaults_follow_the_papers() {
            $(follows(&lanestep::$Rule::default());)+
        }
    };
}

papers! {
    lion::Lion,
    lamb::Lamb,
    lars::Lars,
    cautious_adamw::CautiousAdamW,
    cautious_lion::CautiousLion,
    signum::Signum,
    tiger::Tiger,
    yogi::Yogi,
    adabelief::AdaBelief,
    qhadam::QHAdam,
    adopt::Adopt,
    adan::Adan,
    ademamix::AdEmaMix,
    sgd_schedule_free::SgdScheduleFree,
    adamw_schedule_free::AdamWScheduleFree,
}

fn norm<T: Float>(x: &[T]) -> T {
    x.iter().fold(T::zero(), |sum, &x| sum + x * x).sqrt()
}

const N: usize = 37;
const STEPS: i32 = 200;

/// Gradients that keep some of their direction, over six orders of magnitude.
fn grads() -> Vec<Vec<f32>> {
    let rng = &mut fastrand::Rng::with_seed(7);
    let sizes: Vec<f32> = (0..N).map(|i| 10_f32.powi(i as i32 % 7 - 4)).collect();
    let trend: Vec<f32> = (0..N).map(|_| rng.f32() - 0.5).collect();
    let one = |rng: &mut fastrand::Rng, i: usize| (trend[i] + 2.0 * (rng.f32() - 0.5)) * sizes[i];
    (0..STEPS).map(|_| (0..N).map(|i| one(rng, i)).collect()).collect()
}

fn params() -> Vec<f32> {
    let rng = &mut fastrand::Rng::with_seed(8);
    (0..N).map(|_| (rng.f32() - 0.5) * 4.0).collect()
}

/// The paper's parameters after each step, and its state in the end.
fn run<R: Paper, T: Float>(rule: &R) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let up = |x: &[f32]| -> Vec<T> { x.iter().map(|&x| c(x.into())).collect() };
    let down = |x: &[T]| -> Vec<f64> { x.iter().map(|x| x.to_f64().expect("a float")).collect() };
    let mut params = up(&params());
    let mut state = vec![vec![T::zero(); N]; rule.slots().len()];
    let mut all = vec![];
    for (t, grads) in (1..).zip(grads()) {
        rule.paper(t, &mut params, &up(&grads), &mut state);
        all.push(down(&params));
    }
    (all, state.iter().map(|slot| down(slot)).collect())
}

/// At most twice as far from the truth as the paper's formula in `f32`, plus 8 units in the last place.
fn follows<R: Paper>(rule: &R) {
    let (truth, state) = run::<R, f64>(rule);
    let (single, _) = run::<R, f32>(rule);
    let mut optimizer = Optimizer::new(rule.clone(), N).unwrap();
    let mut params = params();
    for (i, grads) in grads().iter().enumerate() {
        optimizer.step(&mut params, grads).unwrap();
        assert_near(&params, &single[i], &truth[i], &format!("{rule:?}, step {}", i + 1));
    }
    assert!(distance(&truth[0], truth.last().unwrap()) > 0.0, "{rule:?}: nothing moved");
    for (name, truth) in rule.slots().iter().zip(&state) {
        assert_state(optimizer.state(name).unwrap(), truth, 1e-4, &format!("{rule:?}, {name}"));
    }
}

/// Parameters after stepping along the same gradients again and again.
fn walk<R: Rule>(rule: R, params: &[f32], grads: &[f32], steps: usize) -> Vec<f32> {
    let mut optimizer = Optimizer::new(rule, params.len()).unwrap();
    let mut params = params.to_vec();
    (0..steps).for_each(|_| optimizer.step(&mut params, grads).unwrap());
    params
}
