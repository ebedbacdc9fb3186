//! Rules in files.

use super::Error;
use crate::rule::SWITCHES;
use crate::{AnyRule, Rule};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A rule that a checkpoint can hold: as the dictionary of its options, with its name under `rule`.
///
/// All of this crate's are. One of your own needs `serde`, and a name:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use lanestep::{AdamW, Error, Rule, WithFormula, rule::Shared};
/// use lanestep::{Optimizer, checkpoint::{Checkpoint, Recorded, Snapshot}};
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Mine {
///     lr: f64,
/// }
/// # impl Rule for Mine {
/// #     fn slots(&self) -> &'static [&'static str] { &["exp_avg", "exp_avg_sq"] }
/// #     fn check(&self) -> Result<(), Error> { Ok(()) }
/// #     fn shared(&self) -> Shared { Shared::new(self.lr) }
/// #     fn set_lr(&mut self, lr: f64) { self.lr = lr }
/// #     fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
/// #         AdamW { lr: self.lr, ..AdamW::default() }.at(t, with)
/// #     }
/// # }
///
/// impl Recorded for Mine {
///     const NAME: Option<&'static str> = Some("Mine");
/// }
///
/// let optimizer = Optimizer::new(Mine { lr: 0.5 }, 10)?;
/// let mut file = Vec::new();
/// Snapshot::of(&optimizer).write(&mut file)?;
/// let resumed: Optimizer<Mine> = Checkpoint::read(std::io::Cursor::new(&file))?.optimizer(10)?;
/// assert_eq!(resumed.rule().lr, 0.5);
/// let other = Checkpoint::read(std::io::Cursor::new(&file))?.optimizer::<AdamW>(10);
/// assert_eq!(other.unwrap_err().to_string(), r#"group 0 has the rule "Mine", but must have "AdamW""#);
/// # Ok(()) }
/// ```
pub trait Recorded: Rule + Serialize + DeserializeOwned {
    /// The rule's name, which no other rule has. `None` if its own dictionary says it, as that of [`AnyRule`] does.
    const NAME: Option<&'static str>;
}

impl Recorded for AnyRule {
    const NAME: Option<&'static str> = None;
}

const RULE: &str = "rule";

/// The dictionary of a rule.
pub(super) fn to_options<R: Recorded>(group: usize, rule: &R) -> Result<Map<String, Value>, Error> {
    let failed = |reason| Error::Options { group, reason };
    let mut options = match serde_json::to_value(rule).map_err(|error| failed(error.to_string()))? {
        Value::Object(options) => options,
        other => return Err(failed(format!("{other} is no dictionary"))),
    };
    if let Some(name) = R::NAME {
        if let Some(taken) = options.keys().find(|key| *key == RULE || SWITCHES.contains(&key.as_str())) {
            return Err(failed(format!(
                "an option of {name:?} is named {taken:?}, which means something else"
            )));
        }
        options.insert(RULE.to_owned(), name.into());
    }
    Ok(options)
}

/// The rule of a dictionary.
pub(super) fn from_options<R: Recorded>(group: usize, options: &Map<String, Value>) -> Result<R, Error> {
    let mut options = options.clone();
    if let Some(expected) = R::NAME {
        let found = options.remove(RULE).unwrap_or_default();
        if found != expected {
            let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            return Err(Error::Rule { group, expected, found });
        }
        options.retain(|key, _| !SWITCHES.contains(&&**key));
    }
    R::deserialize(Value::Object(options))
        .map_err(|error| Error::Options { group, reason: error.to_string() })
}
