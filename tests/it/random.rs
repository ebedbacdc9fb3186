//! Any rule with any valid hyperparameters on any bits.

use crate::cases::{Run, assert_same};
use crate::variants::{fields, parse};
use ciborium::Value;
use lanestep::rule::bias_correction;
use lanestep::{AnyRule, Level, Parallelism, Rule, reference};
use proptest::prelude::*;

/// A hyperparameter: often of a usual size, sometimes of none.
fn hyperparameter(default: f64) -> impl Strategy<Value = f64> {
    prop_oneof![
        (0.5..2.0).prop_map(move |by| by * default),
        Just(0.0),
        0.0..1.0,
        (-12.0..0.0).prop_map(|x: f64| 10_f64.powf(x)),
        (-300.0..38.0).prop_map(|x: f64| 10_f64.powf(x)),
    ]
}

fn replace(value: &Value) -> BoxedStrategy<Value> {
    match value {
        Value::Bool(_) => any::<bool>().prop_map(Value::Bool).boxed(),
        Value::Float(x) => hyperparameter(*x).prop_map(Value::Float).boxed(),
        Value::Null => proptest::option::of(hyperparameter(1.0))
            .prop_map(|x| x.map_or(Value::Null, Value::Float))
            .boxed(),
        Value::Array(numbers) => {
            numbers.iter().map(replace).collect::<Vec<_>>().prop_map(Value::Array).boxed()
        }
        other => Just(other.clone()).boxed(),
    }
}

fn rule() -> impl Strategy<Value = AnyRule> {
    let one = |rule: &AnyRule| {
        let (names, values): (Vec<_>, Vec<_>) = fields(rule).into_iter().unzip();
        let values = values.iter().map(replace).collect::<Vec<_>>();
        values.prop_map(move |values| parse(names.iter().cloned().zip(values).collect()))
    };
    let rules = AnyRule::all().iter().map(one).collect::<Vec<_>>();
    proptest::strategy::Union::new(rules).prop_filter("valid", |rule| rule.check().is_ok())
}

fn bits(n: usize) -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(any::<u32>().prop_map(f32::from_bits), n)
}

fn run() -> impl Strategy<Value = Run> {
    (0_usize..80, 1_usize..6).prop_flat_map(|(n, steps)| {
        (rule(), bits(n), proptest::collection::vec(bits(n), steps)).prop_map(|(rule, params, grads)| Run {
            rule,
            params,
            grads,
        })
    })
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, params {:?}, grads {:?}", self.rule, self.params, self.grads)
    }
}

proptest! {
    #[test]
    fn equals_the_reference(run in run(), offset in 0_usize..16) {
        let expected = run.reference();
        for level in Level::available() {
            assert_same(&run.misaligned(level, Parallelism::Serial, offset), &expected, &level);
            #[cfg(feature = "rayon")]
            assert_same(&run.misaligned(level, Parallelism::Rayon { grain: 16 }, offset), &expected, &level);
        }
    }

    #[test]
    fn bias_correction_is_one_minus_the_power(beta in 0.0..1.0, t in any::<u64>(), shift in 0..64) {
        let t = t >> shift;
        prop_assert_eq!(bias_correction(beta, t).to_bits(), (1.0 - reference::power(beta, t)).to_bits());
    }

    #[test]
    fn bias_correction_is_near_the_truth(rest in 1e-6..1.0, t in 1_u64..10_000_000) {
        let beta: f64 = 1.0 - rest;
        let truth = -(t as f64 * beta.ln()).exp_m1();
        approx::assert_relative_eq!(bias_correction(beta, t), truth, max_relative = 1e-9);
    }
}
