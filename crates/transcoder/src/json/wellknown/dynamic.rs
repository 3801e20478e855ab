//! google.protobuf.Value, Struct and ListValue: any JSON.

use std::{collections::BTreeMap, fmt};

use prost_types::value::Kind as Is;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::json::{
    decode_error::{DecodeError, DecodeErrorKind, Expected, Step},
    kind::{Kind, ReadOutcome},
    message::Enum,
    read::Reader,
    write::Writer,
};

/// google.protobuf.Value: any JSON value, including null.
#[derive(Debug)]
pub struct Value;

/// google.protobuf.NullValue: JSON's null.
#[derive(Debug)]
pub struct NullValue;

impl Enum for NullValue {
    const NULL: Option<i32> = Some(0);

    fn number(name: &str) -> Option<i32> {
        (name == "NULL_VALUE").then_some(0)
    }

    fn name(number: i32) -> Option<&'static str> {
        (number == 0).then_some("NULL_VALUE")
    }
}

/// google.protobuf.Struct: an object.
#[derive(Debug)]
pub struct Struct;

/// google.protobuf.ListValue: a list.
#[derive(Debug)]
pub struct ListValue;

impl Kind for Value {
    type Rust = prost_types::Value;

    const NULL_IS_A_VALUE: bool = true;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        *slot = ValueSeed(cx).deserialize(value)?;
        Ok(ReadOutcome::Value)
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        match &value.kind {
            Some(Is::NullValue(_)) => out.raw("null"),
            Some(Is::BoolValue(value)) => out.raw(if *value { "true" } else { "false" }),
            Some(Is::NumberValue(value)) if is_whole(*value) => out.number(&(*value as i64)),
            Some(Is::NumberValue(value)) if value.is_finite() => out.number(value),
            Some(Is::NumberValue(_)) => out.unprintable("a number that is not finite"),
            Some(Is::StringValue(value)) => out.string(value),
            Some(Is::StructValue(value)) => Struct::write(value, out),
            Some(Is::ListValue(value)) => ListValue::write(value, out),
            None => out.unprintable("a google.protobuf.Value without a kind"),
        }
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(_: &str, _: bool) -> Result<Self::Rust, DecodeError> {
        Err(DecodeError::new(DecodeErrorKind::WrongType, "a JSON value can be given only in the body"))
    }
}

/// Whether a number is written without a fraction, so that whole numbers in the original JSON stay whole numbers.
fn is_whole(value: f64) -> bool {
    // Integers below 2^53 are exact; negative zero is not an integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.fract() == 0.0 && value.abs() < EXACT && (value != 0.0 || value.is_sign_positive())
}

impl Kind for Struct {
    type Rust = prost_types::Struct;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        match ValueSeed(cx).deserialize(value)?.kind {
            Some(Is::StructValue(value)) => {
                *slot = value;
                Ok(ReadOutcome::Value)
            }
            Some(Is::NullValue(_)) => Ok(ReadOutcome::Null),
            _ => Err(cx.fail(DecodeError::expected(Expected::Object))),
        }
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        out.entries(&value.fields, Value::write);
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(_: &str, _: bool) -> Result<Self::Rust, DecodeError> {
        Err(DecodeError::new(DecodeErrorKind::WrongType, "an object can be given only in the body"))
    }
}

impl Kind for ListValue {
    type Rust = prost_types::ListValue;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        match ValueSeed(cx).deserialize(value)?.kind {
            Some(Is::ListValue(value)) => {
                *slot = value;
                Ok(ReadOutcome::Value)
            }
            Some(Is::NullValue(_)) => Ok(ReadOutcome::Null),
            _ => Err(cx.fail(DecodeError::expected(Expected::List))),
        }
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        out.items(&value.values, Value::write);
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(_: &str, _: bool) -> Result<Self::Rust, DecodeError> {
        Err(DecodeError::new(DecodeErrorKind::WrongType, "a list can be given only in the body"))
    }
}

fn value(kind: Is) -> prost_types::Value {
    prost_types::Value { kind: Some(kind) }
}

struct ValueSeed<'r, 'h>(&'r mut Reader<'h>);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = prost_types::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        self.0.count()?;
        self.0.nested(|cx| value.deserialize_any(ValueVisitor(cx)))
    }
}

struct ValueVisitor<'r, 'h>(&'r mut Reader<'h>);

impl<'de> Visitor<'de> for ValueVisitor<'_, '_> {
    type Value = prost_types::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(value(Is::NullValue(0)))
    }

    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Self::Value, E> {
        Ok(value(Is::BoolValue(b)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(value(Is::NumberValue(number as f64)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(value(Is::NumberValue(number as f64)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(value(Is::NumberValue(number)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(value(Is::StringValue(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(item) = items.next_element_seed(ValueSeed(self.0))? {
            values.push(item);
        }
        Ok(value(Is::ListValue(prost_types::ListValue { values })))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let item = map.next_value_seed(ValueSeed(self.0))?;
            if fields.contains_key(&key) {
                return Err(self
                    .0
                    .fail(DecodeError::new(DecodeErrorKind::Duplicate, "given twice").within(Step::Member(&key))));
            }
            fields.insert(key, item);
        }
        Ok(value(Is::StructValue(prost_types::Struct { fields })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_recognized() {
        for whole in [0.0, 1.0, -7.0, 9_007_199_254_740_991.0] {
            assert!(is_whole(whole), "{whole}");
        }
        for other in [-0.0, 0.5, 9_007_199_254_740_992.0, 1e300, f64::INFINITY, f64::NAN] {
            assert!(!is_whole(other), "{other}");
        }
    }
}
