//! What is tested: rules on every kind of number.

use lanestep::{AnyRule, Level, Optimizer, Parallelism, Rule};

/// So many rules have room in one optimizer.
pub const FEW: usize = 5;

pub fn parallelisms() -> Vec<Parallelism> {
    vec![
        Parallelism::Serial,
        #[cfg(feature = "rayon")]
        Parallelism::Rayon { grain: 16 },
        #[cfg(feature = "rayon")]
        Parallelism::RAYON,
    ]
}

/// Numbers that break things.
pub const HOSTILE: [f32; 32] = [
    0.0,
    -0.0,
    1e-45,
    -1e-45,
    1e-40,
    -1e-40,
    1.175_494_2e-38, // the largest subnormal
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1.2e-38,
    -3e-38,
    1.2e-37,
    -1e-36,
    1e-35,
    -1e-30,
    1e-23,
    3.7e-19, // about where a square becomes subnormal
    -3e-18,
    1e-10,
    -1e-4,
    0.1,
    0.5,
    1.0,
    -1.0,
    3.0,
    1e10,
    -1e19,
    1e38,
    -1e38,
    f32::MAX,
    f32::INFINITY,
    f32::NAN,
];

/// `n` numbers around 1.
pub fn ordinary(rng: &mut fastrand::Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| (rng.f32() - 0.5) * 4.0).collect()
}

/// `n` numbers of which most are hostile and some are any bits at all.
pub fn hostile(rng: &mut fastrand::Rng, n: usize) -> Vec<f32> {
    let number = |rng: &mut fastrand::Rng| match rng.u8(0..8) {
        0 => f32::from_bits(rng.u32(..)),
        1 => rng.f32() - 0.5,
        _ => HOSTILE[rng.usize(..HOSTILE.len())],
    };
    (0..n).map(|_| number(rng)).collect()
}

/// Parameters and the gradients of each step.
pub struct Run {
    pub rule: AnyRule,
    pub params: Vec<f32>,
    pub grads: Vec<Vec<f32>>,
}

/// Parameters and state slots after a run.
#[derive(Debug)]
pub struct Outcome {
    pub params: Vec<f32>,
    pub state: Vec<Vec<f32>>,
}

impl Run {
    pub fn new(rule: AnyRule, n: usize, steps: usize, seed: u64, numbers: Numbers) -> Self {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let params = numbers(rng, n);
        let grads = (0..steps).map(|_| numbers(rng, n)).collect();
        Self { rule, params, grads }
    }

    pub fn reference(&self) -> Outcome {
        let mut params = self.params.clone();
        let mut state = vec![vec![0.0; params.len()]; self.rule.slots().len()];
        for (t, grads) in (1..).zip(&self.grads) {
            self.rule.reference(t, &mut params, grads, &mut state);
        }
        Outcome { params, state }
    }

    pub fn optimizer(&self, level: Level, parallelism: Parallelism) -> Outcome {
        self.misaligned(level, parallelism, 0)
    }

    /// The same on slices that begin `offset` numbers into a buffer, with canaries on both sides.
    pub fn misaligned(&self, level: Level, parallelism: Parallelism, offset: usize) -> Outcome {
        const CANARY: f32 = 1234.5;
        let n = self.params.len();
        let mut optimizer = Optimizer::new(self.rule, n).expect("a valid rule");
        optimizer.set_level(level);
        optimizer.set_parallelism(parallelism);
        let guarded = |inside: &[f32]| [&vec![CANARY; 16 + offset], inside, &[CANARY; 32]].concat();
        let inside = 16 + offset..16 + offset + n;
        let mut params = guarded(&self.params);
        for grads in &self.grads {
            let grads = guarded(grads);
            let before = grads.clone();
            optimizer.step(&mut params[inside.clone()], &grads[inside.clone()]).expect("right lengths");
            assert_bits(&grads, &before, &"gradients are only read");
        }
        let outside = [&params[..inside.start], &params[inside.end..]].concat();
        assert!(outside.iter().all(|&x| x == CANARY), "wrote outside of the parameters");
        assert_eq!(optimizer.steps(), self.grads.len() as u64);
        let state = self.rule.slots().iter().map(|name| optimizer.state(name).expect("a slot").to_vec());
        Outcome { params: params[inside].to_vec(), state: state.collect() }
    }
}

pub type Numbers = fn(&mut fastrand::Rng, usize) -> Vec<f32>;

/// The same bits in parameters and state. Any NaN equals any other.
pub fn assert_same(found: &Outcome, expected: &Outcome, context: &dyn std::fmt::Debug) {
    assert_bits(&found.params, &expected.params, &("params", context));
    for (slot, (found, expected)) in found.state.iter().zip(&expected.state).enumerate() {
        assert_bits(found, expected, &("state slot", slot, context));
    }
    assert_eq!(found.state.len(), expected.state.len(), "slots: {context:?}");
}

pub fn assert_bits(found: &[f32], expected: &[f32], context: &dyn std::fmt::Debug) {
    assert_eq!(found.len(), expected.len(), "{context:?}");
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let same = f.to_bits() == e.to_bits() || f.is_nan() && e.is_nan();
        assert!(same, "element {i}: found {f:e}, expected {e:e}: {context:?}");
    }
}
