//! Every rule in the crate's one list, with every option it has.
//!
//! The options of a rule are found by writing its default out as a map, so a new rule or option needs no change here.

use ciborium::Value;
use lanestep::{AnyRule, Formula, Rule, WithFormula};

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
