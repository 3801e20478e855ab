//! google.protobuf.Any: a message of any type, which its member `@type` names.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Duration, FieldMask, ListValue, Struct, Timestamp, Value};
use crate::json::{
    fault::{Expected, Fault, FaultKind, Step},
    kind::{Kind, Met},
    read::{Reader, Scalar, refuse},
    scalar::{self, Str},
    types::{AnyType, Held, Types},
    write::Writer,
};

/// google.protobuf.Any. The types that it may hold are the well-known ones and those of [`Habits::types`].
///
/// [`Habits::types`]: crate::json::Habits::types
#[derive(Debug)]
pub struct Any;

/// The well-known types.
const WELL_KNOWN: Types = Types(&[&[
    AnyType::message::<()>(),
    AnyType::value::<Any>("google.protobuf.Any"),
    AnyType::value::<Duration>("google.protobuf.Duration"),
    AnyType::value::<FieldMask>("google.protobuf.FieldMask"),
    AnyType::value::<ListValue>("google.protobuf.ListValue"),
    AnyType::value::<Struct>("google.protobuf.Struct"),
    AnyType::value::<Timestamp>("google.protobuf.Timestamp"),
    AnyType::value::<Value>("google.protobuf.Value"),
    AnyType::value::<scalar::Bool>("google.protobuf.BoolValue"),
    AnyType::value::<scalar::Bytes>("google.protobuf.BytesValue"),
    AnyType::value::<scalar::Double>("google.protobuf.DoubleValue"),
    AnyType::value::<scalar::Float>("google.protobuf.FloatValue"),
    AnyType::value::<scalar::Int32>("google.protobuf.Int32Value"),
    AnyType::value::<scalar::Int64>("google.protobuf.Int64Value"),
    AnyType::value::<scalar::Str>("google.protobuf.StringValue"),
    AnyType::value::<scalar::UInt32>("google.protobuf.UInt32Value"),
    AnyType::value::<scalar::UInt64>("google.protobuf.UInt64Value"),
]]);

/// The type behind a URL: the name after its last slash.
fn resolve(url: &str, types: &Types) -> Option<&'static AnyType> {
    let (_, name) = url.rsplit_once('/')?;
    types.find(name).or_else(|| WELL_KNOWN.find(name))
}

impl Kind for Any {
    type Rust = prost_types::Any;

    fn read<'de, D: Deserializer<'de>>(slot: &mut Self::Rust, value: D, cx: &mut Reader<'_>) -> Result<Met, D::Error> {
        // What an Any holds has no place in a mask.
        cx.nested(|cx| cx.unnoted(|cx| value.deserialize_any(AnyVisitor(slot, cx))))
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        if value.type_url.is_empty() && value.value.is_empty() {
            return out.raw("{}");
        }
        let Some(held) = resolve(&value.type_url, &out.habits.types) else {
            return out.unprintable(format!("an Any of the unknown type {:?}", value.type_url));
        };
        out.nested(|out| {
            out.raw("{\"@type\":");
            out.string(&value.type_url);
            if (held.write)(&value.value, out).is_err() {
                out.unprintable(format!("an Any whose bytes are no {}", held.name()));
            }
            out.raw("}");
        });
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(_: &str, _: bool) -> Result<Self::Rust, Fault> {
        Err(Fault::new(FaultKind::WrongType, "a message of any type is given in the body"))
    }
}

struct AnyVisitor<'r, 'h>(&'r mut prost_types::Any, &'r mut Reader<'h>);

impl<'de> Visitor<'de> for AnyVisitor<'_, '_> {
    type Value = Met;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self(slot, cx) = self;
        let mut url = None;
        // The type may come last, so the members wait for it, where they stand: an Any in an Any is not copied at each level.
        let mut members: Vec<(String, &'de RawValue)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key != "@type" {
                members.push((key, map.next_value()?));
            } else if url.is_some() {
                return Err(cx.fail(Fault::new(FaultKind::Duplicate, "given twice").within(Step::Member("@type"))));
            } else {
                url = Some(map.next_value_seed(UrlSeed(cx))?);
            }
        }
        let Some(url) = url else {
            let fault = Fault::new(FaultKind::WrongType, "the member @type is missing");
            return if members.is_empty() { Ok(Met::Value) } else { Err(cx.fail(fault)) };
        };
        let Some(held) = resolve(&url, &cx.habits.types) else {
            return Err(cx.fail(Fault::new(FaultKind::WrongType, "unknown type").within(Step::Member("@type"))));
        };
        match (held.read)(Held::new(&members), cx) {
            Ok(value) => {
                *slot = prost_types::Any { type_url: url, value };
                Ok(Met::Value)
            }
            Err(error) => Err(cx.fail_with(&error)),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Met::Null)
    }

    refuse!(Object, 1, Self::Value: seq scalars);
}

struct UrlSeed<'r, 'h>(&'r mut Reader<'h>);

impl<'de> DeserializeSeed<'de> for UrlSeed<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<String, D::Error> {
        let mut url = String::new();
        match Str::read(&mut url, value, self.0)? {
            Met::Value => Ok(url),
            _ => Err(self.0.fail(Fault::new(FaultKind::Null, "null is no type").within(Step::Member("@type")))),
        }
    }
}
