//! The messages that `google.protobuf.Any` may contain, by name.

use std::{fmt, slice};

use prost::DecodeError as ProstError;
use serde::de::{DeserializeSeed, MapAccess, value::StrDeserializer};
use serde_json::value::RawValue;

use super::{
    decode_error::{DecodeError, DecodeErrorKind, Step},
    kind::{Kind, ReadOutcome},
    message::Message,
    read::{self, Reader},
    write::Writer,
};

/// Encodes the members of an `Any` to the bytes that it contains.
type Read = fn(BufferedMembers<'_>, &mut Reader<'_>) -> Result<Vec<u8>, serde_json::Error>;

/// Decodes the bytes to members, after `@type`.
type Write = fn(&[u8], &mut Writer<'_>) -> Result<(), ProstError>;

/// A message that an `Any` may contain. Generated code lists those of each package.
#[derive(Clone, Copy)]
pub struct AnyType {
    name: &'static str,
    pub(super) read: Read,
    pub(super) write: Write,
}

impl AnyType {
    /// A message whose members are beside `@type`.
    pub const fn message<M: Message + prost::Message>() -> Self {
        Self {
            name: M::NAME,
            read: |held, cx| {
                let mut value = M::default();
                read::of_members(&mut value, held, cx)?;
                Ok(value.encode_to_vec())
            },
            write: |bytes, out| {
                out.more_members(&M::decode(bytes)?);
                Ok(())
            },
        }
    }

    /// A well-known type with its own JSON form, in the member `value`.
    pub(super) const fn value<K: Kind>(name: &'static str) -> Self
    where
        K::Rust: prost::Message,
    {
        Self {
            name,
            read: |held, cx| held.value::<K>(cx).map(|value| prost::Message::encode_to_vec(&value)),
            write: |bytes, out| {
                out.raw(",\"value\":");
                K::write(&prost::Message::decode(bytes)?, out);
                Ok(())
            },
        }
    }

    /// Full name of the message.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for AnyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Types are equal if their names are.
impl PartialEq for AnyType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for AnyType {}

/// Messages by name, in one list for each package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types(pub &'static [&'static [AnyType]]);

impl Types {
    /// Only the well-known types.
    pub const NONE: Types = Types(&[]);

    /// The message with a name.
    pub fn find(&self, name: &str) -> Option<&'static AnyType> {
        self.0.iter().flat_map(|types| types.iter()).find(|known| known.name == name)
    }
}

/// The members of an `Any` except `@type`, kept as raw JSON until its type is known.
#[derive(Debug)]
pub struct BufferedMembers<'a> {
    members: slice::Iter<'a, (String, &'a RawValue)>,
    value: &'a str,
}

impl<'a> BufferedMembers<'a> {
    pub(super) fn new(members: &'a [(String, &'a RawValue)]) -> Self {
        Self { members: members.iter(), value: "null" }
    }

    /// The only member, `value`.
    fn value<K: Kind>(self, cx: &mut Reader<'_>) -> Result<K::Rust, serde_json::Error> {
        let mut found = None;
        for (key, text) in self.members {
            let error = match key.as_str() {
                "value" if found.is_none() => {
                    found = Some(text.get());
                    continue;
                }
                "value" => DecodeError::new(DecodeErrorKind::Duplicate, "given twice"),
                _ if cx.options.ignore_unknown => continue,
                _ => DecodeError::new(DecodeErrorKind::Unknown, "unknown member"),
            };
            return Err(cx.fail(error.within(Step::Member(key))));
        }
        let text =
            found.ok_or_else(|| cx.fail(DecodeError::new(DecodeErrorKind::Null, "the member value is missing")))?;
        let mut value = K::Rust::default();
        match K::read(&mut value, &mut serde_json::Deserializer::from_str(text), cx) {
            Ok(ReadOutcome::Value) => Ok(value),
            Ok(_) => Err(cx.fail(
                DecodeError::new(DecodeErrorKind::Null, "null is not allowed here").within(Step::Member("value")),
            )),
            Err(error) => {
                cx.within(Step::Member("value"));
                Err(error)
            }
        }
    }
}

impl<'a> MapAccess<'a> for BufferedMembers<'a> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        self.value = value.get();
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        seed.deserialize(&mut serde_json::Deserializer::from_str(self.value))
    }
}
