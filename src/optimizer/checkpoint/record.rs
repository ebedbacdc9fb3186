//! What the metadata of a checkpoint says, in JSON.

use super::Error;
use crate::{Format, Layout};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// What says neither formats nor a part, what says formats, and what says a part.
const VERSIONS: [u64; 3] = [1, 2, 3];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    version: u64,
    pub(super) steps: u64,
    pub(super) parameters: Parameters,
    pub(super) param_groups: Vec<Group>,
    // Asked for by name, as `serde` would take an option that is left out for `None`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) ema: Option<Ema>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) formats: Option<Formats>,
    /// Where the parameters begin and end that this file has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<(usize, usize)>,
    /// Of each tensor but `checksum`, which is the header's.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) checksums: Option<Pairs<String>>,
}

/// The names and shapes of the tensors, or how many parameters there are.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "`parameters` is neither a number nor names with shapes")]
pub(super) enum Parameters {
    Unnamed(usize),
    Named(Vec<(String, Vec<usize>)>),
}

/// In an order of its own, as that of `serde_json` depends on a feature that anyone may turn on.
pub(super) type Options = BTreeMap<String, Value>;

fn options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Options, D::Error> {
    let (Pairs(entries), mut options) = (Pairs::deserialize(deserializer)?, Options::new());
    for (name, value) in entries {
        if options.contains_key(&name) {
            return Err(D::Error::custom(format_args!("the option {name:?} is there twice")));
        }
        options.insert(name, value);
    }
    Ok(options)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    /// The rule as it was given.
    #[serde(deserialize_with = "options")]
    pub(super) options: Options,
    /// What the learning rate is now.
    #[serde(with = "crate::number")]
    pub(super) lr: f64,
    #[serde(with = "crate::number")]
    pub(super) lr_scale: f64,
    pub(super) frozen: bool,
    pub(super) steps: u64,
    pub(super) ranges: Vec<(usize, usize)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ema {
    #[serde(with = "crate::number")]
    pub(super) decay: f64,
    pub(super) begun: bool,
}

/// How numbers are kept, where it is not all in `F32`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Formats {
    /// That of state to come.
    pub(super) state: String,
    /// Of stochastic rounding.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) seed: Option<u64>,
    /// Whether there are lower halves of parameters.
    pub(super) split: bool,
    /// That of each slot, where a part may have no tensor to tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) slots: Option<BTreeMap<String, String>>,
}

impl Record {
    pub(super) fn new(
        steps: u64,
        layout: &Layout,
        param_groups: Vec<Group>,
        ema: Option<Ema>,
        formats: Option<Formats>,
    ) -> Self {
        let named = layout.tensors().map(|(name, _, shape)| (name.to_owned(), shape.to_owned()));
        let parameters = if layout.is_named() {
            Parameters::Named(named.collect())
        } else {
            Parameters::Unnamed(layout.whole())
        };
        let places = layout.places();
        let part = layout.is_part().then_some((places.start, places.end));
        let mut record =
            Self { version: 0, steps, parameters, param_groups, ema, formats, part, checksums: None };
        record.version = record.least_version();
        record
    }

    /// The same without the part.
    pub(super) fn of_whole(mut self) -> Self {
        self.part = None;
        self.version = self.least_version();
        self
    }

    /// The first version that can say it.
    const fn least_version(&self) -> u64 {
        VERSIONS[if self.part.is_some() { 2 } else { self.formats.is_some() as usize }]
    }

    /// # Errors
    /// [`Error::Version`] or [`Error::Record`].
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Any {
            version: u64,
        }
        let failed = |error: serde_json::Error| Error::Record { reason: error.to_string() };
        let Any { version: found } = serde_json::from_str(text).map_err(failed)?;
        if !VERSIONS.contains(&found) {
            return Err(Error::Version { known: VERSIONS[2], found });
        }
        let record: Self = serde_json::from_str(text).map_err(failed)?;
        let expected = record.least_version();
        if found != expected {
            let reason = format!("what it says is of version {expected}, but it is of {found}");
            return Err(Error::Record { reason });
        }
        Ok(record)
    }

    /// Of the parameters that the file has.
    pub(super) fn layout(&self) -> Result<Layout, crate::Error> {
        let whole = match &self.parameters {
            Parameters::Unnamed(len) => Layout::from(*len),
            Parameters::Named(tensors) => Layout::with_shapes(tensors.iter().cloned())?,
        };
        self.part.map_or_else(|| Ok(whole.clone()), |(start, end)| whole.part(start..end))
    }

    /// Whether this is of the same optimizer at the same step, of whichever part.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let alike = |record: &Self| {
            let Self { steps, parameters, param_groups, ema, formats, .. } = record;
            // Where nothing is said of formats, nothing is out of the ordinary.
            let formats = formats.as_ref();
            let formats =
                formats.map_or((Format::F32.name(), None, false), |of| (&of.state, of.seed, of.split));
            serde_json::to_string(&(steps, parameters, param_groups, ema, formats)).ok()
        };
        alike(self) == alike(other)
    }
}

/// A map as it stands in the file: in its order, and with what is there twice.
#[derive(Default)]
pub(super) struct Pairs<V>(pub(super) Vec<(String, V)>);

impl<V: Serialize> Serialize for Pairs<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dictionary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Pairs(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}
