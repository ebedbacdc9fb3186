//! Dictionaries of options as PyTorch writes them.

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, IgnoredAny, IntoDeserializer, MapAccess};

/// Options that choose how PyTorch runs a step, not what it computes. They are accepted and ignored.
pub(crate) const SWITCHES: [&str; 4] = ["foreach", "fused", "capturable", "differentiable"];

/// Writes an [`AnyRule`](super::AnyRule) as the options of its rule with the name under `rule`, and reads it back.
macro_rules! tagged {
    ($($Rule:ident as $name:literal,)+) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(tag = "rule")]
        enum Tagged {
            $(#[serde(rename = $name)] $Rule($Rule),)+
        }

        impl serde::Serialize for AnyRule {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match *self {
                    $(Self::$Rule(rule) => serde::Serialize::serialize(&Tagged::$Rule(rule), serializer),)+
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for AnyRule {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Dictionary;

                impl<'de> serde::de::Visitor<'de> for Dictionary {
                    type Value = Tagged;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a dictionary of options with the optimizer's class under `rule`")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Tagged, A::Error> {
                        let map = options::WithoutSwitches(map);
                        serde::Deserialize::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }

                Ok(match deserializer.deserialize_map(Dictionary)? {
                    $(Tagged::$Rule(rule) => Self::$Rule(rule),)+
                })
            }
        }
    };
}
pub(super) use tagged;

/// A map but for the entries that are [`SWITCHES`].
pub(super) struct WithoutSwitches<A>(pub(super) A);

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
