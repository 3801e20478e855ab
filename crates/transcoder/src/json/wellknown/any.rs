//! google.protobuf.Any: a message of any type, named by its member `@type`.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Duration, FieldMask, ListValue, Struct, Timestamp, Value};
use crate::json::{
    decode_error::{DecodeError, DecodeErrorKind, Expected, Step},
    kind::{Kind, ReadOutcome},
    read::{Reader, Scalar, refuse},
    scalar::{self, Str},
    types::{AnyType, BufferedMembers, Types},
    write::Writer,
};

/// google.protobuf.Any. It may contain the well-known types and those of [`JsonOptions::types`].
///
/// [`JsonOptions::types`]: crate::json::JsonOptions::types
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

/// The type of a URL: the name after its last slash.
fn resolve(url: &str, types: &Types) -> Option<&'static AnyType> {
    let (_, name) = url.rsplit_once('/')?;
    types.find(name).or_else(|| WELL_KNOWN.find(name))
}

impl Kind for Any {
    type Rust = prost_types::Any;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        // A mask does not reach into an Any.
        cx.nested(|cx| cx.unnoted(|cx| value.deserialize_any(AnyVisitor(slot, cx))))
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        if value.type_url.is_empty() && value.value.is_empty() {
            return out.raw("{}");
        }
        let Some(held) = resolve(&value.type_url, &out.options.types) else {
            return out.unprintable(format!("a google.protobuf.Any of the unknown type {:?}", value.type_url));
        };
        out.nested(|out| {
            out.raw("{\"@type\":");
            out.string(&value.type_url);
            if (held.write)(&value.value, out).is_err() {
                out.unprintable(format!("a google.protobuf.Any whose bytes are not a valid {}", held.name()));
            }
            out.raw("}");
        });
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(_: &str, _: bool) -> Result<Self::Rust, DecodeError> {
        Err(DecodeError::new(DecodeErrorKind::WrongType, "a google.protobuf.Any can be given only in the body"))
    }
}

struct AnyVisitor<'r, 'h>(&'r mut prost_types::Any, &'r mut Reader<'h>);

impl<'de> Visitor<'de> for AnyVisitor<'_, '_> {
    type Value = ReadOutcome;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self(slot, cx) = self;
        let mut url = None;
        // The type may come last, so the other members are kept as raw JSON without copying: an Any inside of an Any is
        // not copied at each level.
        let mut members: Vec<(String, &'de RawValue)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key != "@type" {
                members.push((key, map.next_value()?));
            } else if url.is_some() {
                return Err(
                    cx.fail(DecodeError::new(DecodeErrorKind::Duplicate, "given twice").within(Step::Member("@type")))
                );
            } else {
                url = Some(map.next_value_seed(UrlSeed(cx))?);
            }
        }
        let Some(url) = url else {
            let error = DecodeError::new(DecodeErrorKind::WrongType, "the member @type is missing");
            return if members.is_empty() { Ok(ReadOutcome::Value) } else { Err(cx.fail(error)) };
        };
        let Some(held) = resolve(&url, &cx.options.types) else {
            return Err(
                cx.fail(DecodeError::new(DecodeErrorKind::WrongType, "unknown type").within(Step::Member("@type")))
            );
        };
        match (held.read)(BufferedMembers::new(&members), cx) {
            Ok(value) => {
                *slot = prost_types::Any { type_url: url, value };
                Ok(ReadOutcome::Value)
            }
            Err(error) => Err(cx.fail_with(&error)),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(ReadOutcome::Null)
    }

    refuse!(Object, 1, Self::Value: seq scalars);
}

struct UrlSeed<'r, 'h>(&'r mut Reader<'h>);

impl<'de> DeserializeSeed<'de> for UrlSeed<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<String, D::Error> {
        let mut url = String::new();
        match Str::read(&mut url, value, self.0)? {
            ReadOutcome::Value => Ok(url),
            _ => Err(self
                .0
                .fail(DecodeError::new(DecodeErrorKind::Null, "@type must not be null").within(Step::Member("@type")))),
        }
    }
}
