//! Dictionaries of options as PyTorch writes them.

use super::AnyRule;
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// What says how PyTorch's own kernels run a step and not what it computes. A dictionary may have them.
const SWITCHES: [&str; 4] = ["foreach", "fused", "capturable", "differentiable"];

impl Serialize for AnyRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for AnyRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Dictionary)
    }
}

struct Dictionary;

impl<'de> Visitor<'de> for Dictionary {
    type Value = AnyRule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dictionary of options with the optimizer's class under `rule`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AnyRule, A::Error> {
        AnyRule::deserialize(MapAccessDeserializer::new(WithoutSwitches(map)))
    }
}

struct WithoutSwitches<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutSwitches<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<String>()? {
            if !SWITCHES.contains(&&*key) {
                let key: StringDeserializer<A::Error> = key.into_deserializer();
                return seed.deserialize(key).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}
