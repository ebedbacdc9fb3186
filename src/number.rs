//! Numbers in files: every `f64` comes back with its bits, but for those of a NaN.
//!
//! JSON has no word for what is not finite, and `serde_json` writes `null`: no number to read back, or worse, the option
//! that is not set. So where people read along it is Python's and JavaScript's word for it, in quotes. All other formats have
//! it. What users are told about this stands at [`AnyRule`](crate::AnyRule).

use serde::de::{DeserializeOwned, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// For `#[serde(with = "crate::number")]`.
pub(crate) fn serialize<T: Field, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.written().serialize(serializer)
}

/// For `#[serde(with = "crate::number")]`.
pub(crate) fn deserialize<'de, T: Field, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::Written::deserialize(deserializer).map(T::read)
}

/// What that may stand at. A `bool` for the sake of the rules, whose fields are all treated alike.
pub(crate) trait Field: Copy {
    type Written: Serialize + DeserializeOwned;
    fn written(self) -> Self::Written;
    fn read(written: Self::Written) -> Self;
}

impl Field for bool {
    type Written = Self;

    fn written(self) -> Self {
        self
    }

    fn read(written: Self) -> Self {
        written
    }
}

impl Field for f64 {
    type Written = Number;

    fn written(self) -> Number {
        Number(self)
    }

    fn read(Number(value): Number) -> Self {
        value
    }
}

impl<T: Field> Field for Option<T> {
    type Written = Option<T::Written>;

    fn written(self) -> Self::Written {
        self.map(T::written)
    }

    fn read(written: Self::Written) -> Self {
        written.map(T::read)
    }
}

impl<T: Field> Field for (T, T) {
    type Written = (T::Written, T::Written);

    fn written(self) -> Self::Written {
        (self.0.written(), self.1.written())
    }

    fn read(written: Self::Written) -> Self {
        (T::read(written.0), T::read(written.1))
    }
}

impl<T: Field> Field for (T, T, T) {
    type Written = (T::Written, T::Written, T::Written);

    fn written(self) -> Self::Written {
        (self.0.written(), self.1.written(), self.2.written())
    }

    fn read(written: Self::Written) -> Self {
        (T::read(written.0), T::read(written.1), T::read(written.2))
    }
}

pub(crate) struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value) = *self;
        if value.is_finite() || !serializer.is_human_readable() {
            return serializer.serialize_f64(value);
        }
        serializer.serialize_str(match value {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        })
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(Read)
        } else {
            deserializer.deserialize_f64(Read)
        }
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Number;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
        Ok(Number(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    /// Any number as text: there are formats that have nothing but text.
    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        text.parse().map(Number).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    /// `serde_json` hands numbers over like this where anyone has turned on its feature `arbitrary_precision`.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        match map.next_key::<String>()?.as_deref() {
            Some("$serde_json::private::Number") => self.visit_str(&map.next_value::<String>()?),
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}
