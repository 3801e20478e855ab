//! The members of a message.

use std::{fmt, marker::PhantomData};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Reader, Scalar, refuse};
use crate::json::{
    decode_error::{DecodeError, DecodeErrorKind, Expected, Step},
    kind::ReadOutcome,
    message::Message,
    options::JsonOptions,
};

/// Reads the value of a message.
pub(in crate::json) fn message<'de, M: Message, D: Deserializer<'de>>(
    slot: &mut M,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<ReadOutcome, D::Error> {
    value.deserialize_any(MessageVisitor(slot, cx))
}

struct MessageVisitor<'r, 'h, M>(&'r mut M, &'r mut Reader<'h>);

impl<'de, M: Message> Visitor<'de> for MessageVisitor<'_, '_, M> {
    type Value = ReadOutcome;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        of_members(self.0, map, self.1).map(|()| ReadOutcome::Value)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(ReadOutcome::Null)
    }

    refuse!(Object, 1, Self::Value: seq scalars);
}

/// Reads a message from its members.
pub(in crate::json) fn of_members<'de, M: Message, A: MapAccess<'de>>(
    message: &mut M,
    mut map: A,
    cx: &mut Reader<'_>,
) -> Result<(), A::Error> {
    cx.nested(|cx| {
        let mut seen = Seen::new(M::FIELDS.len());
        while let Some(key) = map.next_key_seed(KeySeed::<M>(cx, PhantomData))? {
            let Some(field) = key else {
                map.next_value_seed(Skip(&mut *cx))?;
                continue;
            };
            let name = M::FIELDS[field].name(cx.options.names);
            if !seen.insert(field) {
                return Err(
                    cx.fail(DecodeError::new(DecodeErrorKind::Duplicate, "given twice").within(Step::Member(name)))
                );
            }
            let seed = FieldSeed { message: &mut *message, field, cx: &mut *cx };
            if let Err(error) = map.next_value_seed(seed) {
                cx.within(Step::Member(name));
                if M::FIELDS[field].secret {
                    cx.secret();
                }
                return Err(error);
            }
        }
        Ok(())
    })
}

/// The fields that were read. Messages of up to 64 fields need no allocation.
struct Seen {
    few: u64,
    many: Vec<bool>,
}

impl Seen {
    fn new(fields: usize) -> Self {
        Self { few: 0, many: if fields > 64 { vec![false; fields] } else { Vec::new() } }
    }

    /// Whether the field was not read before.
    fn insert(&mut self, field: usize) -> bool {
        if self.many.is_empty() {
            let bit = 1 << field;
            let new = self.few & bit == 0;
            self.few |= bit;
            new
        } else {
            !std::mem::replace(&mut self.many[field], true)
        }
    }
}

/// Maps a key to the index of a field; `None` for an ignored one.
struct KeySeed<'r, 'h, M>(&'r mut Reader<'h>, PhantomData<M>);

impl<'de, M: Message> DeserializeSeed<'de> for KeySeed<'_, '_, M> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'de, M: Message> Visitor<'de> for KeySeed<'_, '_, M> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        match find::<M>(key, self.0.options) {
            Some(field) => Ok(Some(field)),
            None if self.0.options.ignore_unknown => Ok(None),
            None => {
                let error = DecodeError::new(DecodeErrorKind::Unknown, "unknown member").within(Step::Member(key));
                Err(self.0.fail(error))
            }
        }
    }
}

/// Finds a field by its name in either spelling.
pub(crate) fn find<M: Message>(name: &str, options: &JsonOptions) -> Option<usize> {
    M::field(name).or_else(|| {
        let same = |known: &str| known.eq_ignore_ascii_case(name);
        options.any_case.then(|| M::FIELDS.iter().position(|field| same(field.json) || same(field.proto))).flatten()
    })
}

struct FieldSeed<'r, 'h, M> {
    message: &'r mut M,
    field: usize,
    cx: &'r mut Reader<'h>,
}

impl<'de, M: Message> DeserializeSeed<'de> for FieldSeed<'_, '_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.message.read(self.field, value, self.cx)
    }
}

/// Skips a value. It must not be nested deeper than one that is read.
struct Skip<'r, 'h>(&'r mut Reader<'h>);

impl<'de> DeserializeSeed<'de> for Skip<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.nested(|cx| {
            while items.next_element_seed(Skip(&mut *cx))?.is_some() {}
            Ok(())
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.nested(|cx| {
            while map.next_key::<de::IgnoredAny>()?.is_some() {
                map.next_value_seed(Skip(&mut *cx))?;
            }
            Ok(())
        })
    }
}
