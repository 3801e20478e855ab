//! The messages that `google.protobuf.Any` may hold, by name.

use std::{fmt, slice};

use prost::DecodeError;
use serde::de::{DeserializeSeed, MapAccess, value::StrDeserializer};
use serde_json::value::RawValue;

use super::{
    fault::{Fault, FaultKind, Step},
    kind::{Kind, Met},
    message::Message,
    read::{self, Reader},
    write::Writer,
};

/// How the members of an `Any` become the bytes that it holds.
type Read = fn(Held<'_>, &mut Reader<'_>) -> Result<Vec<u8>, serde_json::Error>;

/// How the bytes become members, after `@type`.
type Write = fn(&[u8], &mut Writer<'_>) -> Result<(), DecodeError>;

/// A message that an `Any` may hold. Generated code lists those of each package.
#[derive(Clone, Copy)]
pub struct AnyType {
    name: &'static str,
    pub(super) read: Read,
    pub(super) write: Write,
}

impl AnyType {
    /// A message whose members stand beside `@type`.
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

    /// A well-known type with a JSON form of its own, which stands as the member `value`.
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

/// Two are equal that have the same name.
impl PartialEq for AnyType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for AnyType {}

/// Messages by name, in lists of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types(pub &'static [&'static [AnyType]]);

impl Types {
    /// None but the well-known types.
    pub const NONE: Types = Types(&[]);

    /// The message of a name.
    pub fn find(&self, name: &str) -> Option<&'static AnyType> {
        self.0.iter().flat_map(|types| types.iter()).find(|known| known.name == name)
    }
}

/// The members of an `Any` beside `@type`, kept as texts until its type is known.
#[derive(Debug)]
pub struct Held<'a> {
    members: slice::Iter<'a, (String, &'a RawValue)>,
    value: &'a str,
}

impl<'a> Held<'a> {
    pub(super) fn new(members: &'a [(String, &'a RawValue)]) -> Self {
        Self { members: members.iter(), value: "null" }
    }

    /// The one member `value`.
    fn value<K: Kind>(self, cx: &mut Reader<'_>) -> Result<K::Rust, serde_json::Error> {
        let mut found = None;
        for (key, text) in self.members {
            let fault = match key.as_str() {
                "value" if found.is_none() => {
                    found = Some(text.get());
                    continue;
                }
                "value" => Fault::new(FaultKind::Duplicate, "given twice"),
                _ if cx.habits.ignore_unknown => continue,
                _ => Fault::new(FaultKind::Unknown, "unknown member"),
            };
            return Err(cx.fail(fault.within(Step::Member(key))));
        }
        let text =
            found.ok_or_else(|| cx.fail(Fault::new(FaultKind::Null, "this type is given as the member value")))?;
        let mut value = K::Rust::default();
        match K::read(&mut value, &mut serde_json::Deserializer::from_str(text), cx) {
            Ok(Met::Value) => Ok(value),
            Ok(_) => Err(cx.fail(Fault::new(FaultKind::Null, "null is no value here").within(Step::Member("value")))),
            Err(error) => {
                cx.within(Step::Member("value"));
                Err(error)
            }
        }
    }
}

impl<'a> MapAccess<'a> for Held<'a> {
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
