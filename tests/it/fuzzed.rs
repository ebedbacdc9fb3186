//! What the fuzz targets do with their bytes, and every crash they have found.

use crate::cases::{Outcome, Run, assert_same};
use crate::variants::{fields, layerwise, parse};
use arbitrary::{Result, Unstructured};
use ciborium::Value;
use lanestep::{AnyRule, Error, Level, Optimizer, Parallelism, Rule};

/// Any rule, hyperparameters, length, level, split, alignment and bits against `reference`.
/// Returns whether they made a step.
pub fn step(bytes: &[u8]) -> bool {
    step_case(&mut Unstructured::new(bytes)).unwrap_or(false)
}

fn step_case(u: &mut Unstructured<'_>) -> Result<bool> {
    let rule = rule(u)?;
    if let Err(error) = rule.check() {
        assert!(matches!(error, Error::Hyperparameter { .. }));
        assert_eq!(Optimizer::new(rule, 8).unwrap_err().to_string(), error.to_string());
        return Ok(false);
    }
    let level = *u.choose(&Level::available())?;
    let parallelism = match u.int_in_range(0..=80)? {
        #[cfg(feature = "rayon")]
        grain @ 1.. => Parallelism::Rayon { grain },
        _ => Parallelism::Serial,
    };
    let offset = u.int_in_range(0..=15)?;
    let n = u.int_in_range(0..=200)?;
    let cut = u.int_in_range(0..=n)?;
    let steps = u.int_in_range(1..=6)?;
    let mut numbers = || (0..n).map(|_| number(u)).collect::<Result<Vec<f32>>>();
    let params = numbers()?;
    let grads = (0..steps).map(|_| numbers()).collect::<Result<_>>()?;
    let run = Run { rule, params, grads };
    let expected = run.reference();
    assert_same(&run.misaligned(level, parallelism, offset), &expected, &rule);
    if layerwise(&rule) {
        return Ok(n > 0);
    }
    let part = |range: std::ops::Range<usize>| {
        let grads = run.grads.iter().map(|grads| grads[range.clone()].to_vec()).collect();
        Run { rule, params: run.params[range].to_vec(), grads }.optimizer(level, parallelism)
    };
    let (left, right) = (part(0..cut), part(cut..n));
    let state = left.state.iter().zip(&right.state).map(|(left, right)| [&left[..], right].concat());
    let whole = Outcome { params: [left.params, right.params].concat(), state: state.collect() };
    assert_same(&whole, &expected, &(rule, cut));
    Ok(n > 0)
}

/// Once the bytes run out, zero.
pub fn number(u: &mut Unstructured<'_>) -> Result<f32> {
    Ok(match u.int_in_range(0..=3)? {
        0 => f32::from_bits(u.arbitrary()?),
        1 => f32::from(u.arbitrary::<i16>()?) / 1024.0,
        _ => *u.choose(&crate::cases::HOSTILE)?,
    })
}

pub fn rule(u: &mut Unstructured<'_>) -> Result<AnyRule> {
    let rule = *u.choose(&AnyRule::all())?;
    let mut map = fields(&rule);
    for (name, value) in &mut map {
        if name.as_text() != Some("rule") {
            replace(u, value)?;
        }
    }
    Ok(parse(map))
}

fn replace(u: &mut Unstructured<'_>, value: &mut Value) -> Result<()> {
    match value {
        Value::Bool(on) => *on = u.arbitrary()?,
        Value::Array(numbers) => numbers.iter_mut().try_for_each(|number| replace(u, number))?,
        Value::Float(_) | Value::Null => match u.int_in_range(0..=4)? {
            0 | 1 => {}
            2 => *value = Value::Float(u.arbitrary()?),
            3 => *value = Value::Float(f64::from(u.arbitrary::<u16>()?) / 65536.0),
            _ => *value = Value::Float(*u.choose(&[0.0, 1e-12, 1e-40, 1e-3, 0.5, 0.9, 0.999, 1.0, 1e30])?),
        },
        _ => {}
    }
    Ok(())
}

/// Any text as a dictionary of options: a rule that works, or an error.
pub fn options(bytes: &[u8]) {
    let Ok(rule) = serde_json::from_slice::<AnyRule>(bytes) else { return };
    let text = serde_json::to_string(&rule).expect("a rule is a map");
    let read = serde_json::from_str::<AnyRule>(&text).expect("what is written reads back");
    assert_eq!(format!("{read:?}"), format!("{rule:?}"), "bit for bit, but for those of a NaN");
    match Optimizer::new(rule, 17) {
        Ok(mut optimizer) => optimizer.step(&mut [1.0; 17], &[0.5; 17]).expect("right lengths"),
        Err(error) => assert!(matches!(error, Error::Hyperparameter { .. })),
    }
}

#[cfg(test)]
pub mod tests {
    pub fn replay(target: &str, body: impl Fn(&[u8])) {
        let folder = format!("{}/tests/crashes/{target}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let mut replayed = 0;
        for file in files {
            body(&std::fs::read(file.unwrap().path()).unwrap());
            replayed += 1;
        }
        assert!(replayed > 0, "{folder} is empty");
    }

    #[test]
    fn crashes_of_step_are_mended() {
        replay("step", |bytes| {
            super::step(bytes);
        });
    }

    #[test]
    fn crashes_of_options_are_mended() {
        replay("options", super::options);
    }

    #[test]
    fn random_bytes() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut steps = 0;
        for _ in 0..3000 {
            let mut bytes = vec![0; rng.usize(..4000)];
            rng.fill(&mut bytes);
            steps += usize::from(super::step(&bytes));
        }
        assert!(steps > 300, "only {steps} of 3000 made a step");
    }
}
