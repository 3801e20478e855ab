//! The value of a field: single, in a list, in a map.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Reader, Scalar, refuse};
use crate::json::{
    decode_error::{DecodeError, DecodeErrorKind, Expected, Step},
    kind::{Kind, ReadOutcome},
    text::oneof_taken,
};

/// Reads a field without presence; null leaves it as it is.
pub fn one<'de, K: Kind, D: Deserializer<'de>>(
    slot: &mut K::Rust,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<(), D::Error> {
    member::<K, D>(slot, field, value, cx).map(|_| ())
}

/// Reads a field with presence; null leaves it unset.
pub fn optional<'de, K: Kind, D: Deserializer<'de>>(
    slot: &mut Option<K::Rust>,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<(), D::Error> {
    if member::<K, D>(slot.insert(K::Rust::default()), field, value, cx)? != ReadOutcome::Value {
        *slot = None;
    }
    Ok(())
}

/// Reads a member of a oneof. `taken` says whether another member is set already.
pub fn oneof<'de, K: Kind, D: Deserializer<'de>>(
    taken: bool,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<Option<K::Rust>, D::Error> {
    let mut slot = K::Rust::default();
    match member::<K, D>(&mut slot, field, value, cx)? {
        ReadOutcome::Value if taken => Err(cx.fail(oneof_taken())),
        ReadOutcome::Value => Ok(Some(slot)),
        ReadOutcome::Null | ReadOutcome::Ignored => Ok(None),
    }
}

/// Reads the value of one member and, if members are recorded, records it: a message by its own members, everything
/// else, including an empty message, by itself. Null counts as absent and is not recorded.
fn member<'de, K: Kind, D: Deserializer<'de>>(
    slot: &mut K::Rust,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<ReadOutcome, D::Error> {
    let Some(given) = &mut cx.given else { return K::read(slot, value, cx) };
    given.prefix.push(field);
    let before = given.paths.len();
    let met = K::read(slot, value, cx)?;
    let Some(given) = &mut cx.given else { return Ok(met) };
    given.prefix.pop();
    if met == ReadOutcome::Value && given.paths.len() == before {
        cx.note(field);
    }
    Ok(met)
}

/// Reads a list; null leaves it as it is.
pub fn list<'de, K: Kind, D: Deserializer<'de>>(
    slot: &mut Vec<K::Rust>,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<(), D::Error> {
    // Members inside of items are not recorded: a mask ends at the list.
    if cx.unnoted(|cx| value.deserialize_any(ListVisitor::<K>(slot, cx)))? {
        cx.note(field);
    }
    Ok(())
}

struct ListVisitor<'r, 'h, K: Kind>(&'r mut Vec<K::Rust>, &'r mut Reader<'h>);

impl<'de, K: Kind> Visitor<'de> for ListVisitor<'_, '_, K> {
    /// Whether there was a list; null is none.
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let Self(slot, cx) = self;
        for index in 0.. {
            // The item is read in place, so that large items are not moved and nested ones need little stack.
            slot.push(K::Rust::default());
            let Some(last) = slot.last_mut() else { break };
            match items.next_element_seed(ItemSeed::<K>(last, cx)) {
                Ok(Some(ReadOutcome::Value)) => {}
                // An unknown enum name, where these are ignored.
                Ok(Some(_)) => drop(slot.pop()),
                Ok(None) => {
                    slot.pop();
                    break;
                }
                Err(error) => {
                    cx.within(Step::Item(index));
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    refuse!(List, 1, bool: map scalars);
}

/// A list item or map value; null is not allowed.
struct ItemSeed<'r, 'h, K: Kind>(&'r mut K::Rust, &'r mut Reader<'h>);

impl<'de, K: Kind> DeserializeSeed<'de> for ItemSeed<'_, '_, K> {
    type Value = ReadOutcome;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<ReadOutcome, D::Error> {
        self.1.count()?;
        match K::read(self.0, value, self.1)? {
            ReadOutcome::Null => Err(self.1.fail(
                DecodeError::new(DecodeErrorKind::Null, "a list item must not be null").with_input(|| Value::Null),
            )),
            met => Ok(met),
        }
    }
}

/// Reads a map; null leaves it as it is.
pub fn map<'de, KK: Kind, VK: Kind, D: Deserializer<'de>>(
    slot: &mut BTreeMap<KK::Rust, VK::Rust>,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<(), D::Error>
where
    KK::Rust: Ord,
{
    if cx.unnoted(|cx| value.deserialize_any(MapVisitor::<KK, VK>(slot, cx)))? {
        cx.note(field);
    }
    Ok(())
}

struct MapVisitor<'r, 'h, KK: Kind, VK: Kind>(&'r mut BTreeMap<KK::Rust, VK::Rust>, &'r mut Reader<'h>);

impl<'de, KK: Kind, VK: Kind> Visitor<'de> for MapVisitor<'_, '_, KK, VK>
where
    KK::Rust: Ord,
{
    /// Whether there was a map; null is none.
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Self(slot, cx) = self;
        while let Some(text) = map.next_key::<String>()? {
            let key = match KK::parse(&text, false) {
                Ok(key) => key,
                Err(error) => return Err(cx.fail(error.within(Step::Member(&text)))),
            };
            let Entry::Vacant(entry) = slot.entry(key) else {
                return Err(
                    cx.fail(DecodeError::new(DecodeErrorKind::Duplicate, "given twice").within(Step::Member(&text)))
                );
            };
            let mut entry = entry.insert_entry(VK::Rust::default());
            match map.next_value_seed(ItemSeed::<VK>(entry.get_mut(), cx)) {
                Ok(ReadOutcome::Value) => {}
                Ok(_) => drop(entry.remove()),
                Err(error) => {
                    cx.within(Step::Member(&text));
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    refuse!(Object, 1, bool: seq scalars);
}
