//! Reads a JSON scalar, whatever type is expected.

use std::{borrow::Cow, fmt};

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Reader, wrong_type};
use crate::json::{
    decode_error::{DecodeError, Expected},
    kind::ReadOutcome,
};

/// A JSON scalar as it was read.
#[derive(Debug)]
pub(crate) enum Scalar<'de> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'de, str>),
}

impl<'de> Scalar<'de> {
    /// Reads a scalar; fails for lists and objects, naming the expected type.
    pub(crate) fn read<D: Deserializer<'de>>(
        expected: Expected,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<Self, D::Error> {
        value.deserialize_any(ScalarVisitor { expected, cx })
    }

    fn found(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
        }
    }

    pub(crate) fn mismatch(&self, expected: Expected) -> DecodeError {
        wrong_type(expected, self.found()).with_input(|| self.input())
    }

    pub(crate) fn input(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::from(*value),
            Self::Unsigned(value) => Value::from(*value),
            Self::Signed(value) => Value::from(*value),
            Self::Float(value) => Value::from(*value),
            Self::Text(text) => Value::from(&**text),
        }
    }
}

struct ScalarVisitor<'r, 'h> {
    expected: Expected,
    cx: &'r mut Reader<'h>,
}

impl<'de> Visitor<'de> for ScalarVisitor<'_, '_> {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected.words())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Signed(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.cx.wrong_type(self.expected, "an object"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.cx.wrong_type(self.expected, "a list"))
    }
}

/// Reads a scalar and converts it.
pub(crate) fn convert<'de, T, D: Deserializer<'de>>(
    slot: &mut T,
    expected: Expected,
    value: D,
    cx: &mut Reader<'_>,
    convert: impl FnOnce(Scalar<'de>) -> Result<T, DecodeError>,
) -> Result<ReadOutcome, D::Error> {
    match Scalar::read(expected, value, cx)? {
        Scalar::Null => Ok(ReadOutcome::Null),
        scalar => {
            *slot = convert(scalar).map_err(|error| cx.fail(error))?;
            Ok(ReadOutcome::Value)
        }
    }
}

/// Reads a string and parses it.
pub(crate) fn parsed<'de, T, D: Deserializer<'de>>(
    slot: &mut T,
    expected: Expected,
    value: D,
    cx: &mut Reader<'_>,
    parse: impl FnOnce(&str) -> Result<T, DecodeError>,
) -> Result<ReadOutcome, D::Error> {
    convert(slot, expected, value, cx, |scalar| match scalar {
        Scalar::Text(text) => parse(&text).map_err(|error| error.with_input(|| Value::from(&*text))),
        other => Err(other.mismatch(expected)),
    })
}
