//! What is tested: every rule in the crate's one list, with every option it has, on every kind of number.
//!
//! The options of a rule are found by writing its default out as a map, so a new rule or option needs no change here.

use ciborium::Value;
use lanestep::{AnyRule, Formula, Level, Optimizer, Parallelism, Rule, WithFormula};

/// So many rules have room in one optimizer.
pub const FEW: usize = 5;

/// Whether the rule's formula depends on sums over a layer, so that it is not the same on parts of it.
pub fn layerwise(rule: &AnyRule) -> bool {
    struct Look;
    impl WithFormula for Look {
        type Output = bool;
        fn formula<F: Formula<S>, const S: usize>(self, _formula: F) -> bool {
            F::LAYERWISE
        }
    }
    rule.at(1, Look)
}

/// All combinations of the options of all rules that pass their check.
pub fn every_combination() -> Vec<AnyRule> {
    AnyRule::all().iter().flat_map(combinations).collect()
}

/// Each rule by default, with each single option changed, and with as many as can be changed together.
pub fn each_option() -> Vec<AnyRule> {
    AnyRule::all().iter().flat_map(single_changes).collect()
}

fn combinations(rule: &AnyRule) -> Vec<AnyRule> {
    let mut maps = vec![fields(rule)];
    for i in 0..maps[0].len() {
        let values = alternatives(&maps[0][i]);
        maps = maps.iter().flat_map(|map| values.iter().map(move |value| with(map, i, value))).collect();
    }
    maps.into_iter().filter_map(valid).collect()
}

fn single_changes(rule: &AnyRule) -> Vec<AnyRule> {
    let map = fields(rule);
    let mut rules = vec![*rule];
    let mut all = map.clone();
    for i in 0..map.len() {
        for value in &alternatives(&map[i])[1..] {
            rules.extend(valid(with(&map, i, value)));
            all = valid(with(&all, i, value)).map_or(all, |rule| fields(&rule));
        }
    }
    rules.extend(valid(all));
    rules
}

pub type Field = (Value, Value);

/// The rule as a map from names to values.
pub fn fields(rule: &AnyRule) -> Vec<Field> {
    Value::serialized(rule).expect("a rule is a map").into_map().expect("a rule is a map")
}

/// The rule that such a map describes, whether or not it passes its check.
pub fn parse(map: Vec<Field>) -> AnyRule {
    Value::Map(map).deserialized().expect("the names and types of the rule's fields")
}

pub fn with(map: &[Field], i: usize, value: &Value) -> Vec<Field> {
    let mut map = map.to_vec();
    map[i].1 = value.clone();
    map
}

fn valid(map: Vec<Field>) -> Option<AnyRule> {
    Some(parse(map)).filter(|rule| rule.check().is_ok())
}

/// The value itself and others that reach other code.
fn alternatives((name, value): &Field) -> Vec<Value> {
    let others = match value {
        _ if name.as_text() == Some("lr") => vec![],
        // Steps, in the middle of a short run.
        _ if name.as_text().is_some_and(|name| name.contains("warmup")) => vec![Value::Float(2.5)],
        Value::Bool(on) => vec![Value::Bool(!on)],
        Value::Float(0.0) => vec![Value::Float(0.3)],
        Value::Float(_) => vec![Value::Float(0.25)],
        Value::Null => vec![Value::Float(0.5)],
        Value::Array(numbers) => {
            // The last for a range around something, wider than it was.
            let wider = numbers
                .iter()
                .zip([0.75, 1.25].iter().cycle())
                .map(|(x, by)| Value::Float(x.as_float().unwrap() * by));
            let equal = [0.0, 0.4].map(|x| Value::Array(vec![Value::Float(x); numbers.len()]));
            equal.into_iter().chain([Value::Array(wider.collect())]).collect()
        }
        _ => vec![],
    };
    [vec![value.clone()], others].concat()
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
