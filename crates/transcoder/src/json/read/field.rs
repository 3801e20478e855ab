//! The value of a field: single, in a list, in a map.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Reader, refuse};
use crate::json::{
    fault::{Fault, FaultKind, Step},
    kind::{Kind, Met},
};

/// Reads a field without presence; null leaves it as it is.
pub fn one<'de, K: Kind, D: Deserializer<'de>>(
    slot: &mut K::Rust,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<(), D::Error> {
    if let Met::Value(value) = member::<K, D>(field, value, cx)? {
        *slot = value;
    }
    Ok(())
}

/// Reads a field with presence; null leaves it unset.
pub fn optional<'de, K: Kind, D: Deserializer<'de>>(
    slot: &mut Option<K::Rust>,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<(), D::Error> {
    *slot = member::<K, D>(field, value, cx)?.value();
    Ok(())
}

/// Reads a member of a oneof, of which `taken` says whether another member is set already.
pub fn oneof<'de, K: Kind, D: Deserializer<'de>>(
    taken: bool,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<Option<K::Rust>, D::Error> {
    let value = member::<K, D>(field, value, cx)?.value();
    if taken && value.is_some() {
        return Err(cx.fail(Fault::new(FaultKind::Oneof, "another member of the same oneof is given")));
    }
    Ok(value)
}

/// Reads the value of one member, and notes it where members are noted: a message by its own members, anything else,
/// an empty message too, by itself.
fn member<'de, K: Kind, D: Deserializer<'de>>(
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<Met<K::Rust>, D::Error> {
    let Some(given) = &mut cx.given else { return K::read(value, cx) };
    given.prefix.push(field);
    let before = given.paths.len();
    let value = K::read(value, cx)?;
    let Some(given) = &mut cx.given else { return Ok(value) };
    given.prefix.pop();
    if matches!(value, Met::Value(_)) && given.paths.len() == before {
        cx.note(field);
    }
    Ok(value)
}

/// Reads a list; null leaves it as it is.
pub fn list<'de, K: Kind, D: Deserializer<'de>>(
    slot: &mut Vec<K::Rust>,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<(), D::Error> {
    // Members inside of items are not noted: a mask stops at the list.
    let present = cx.unnoted(|cx| value.deserialize_any(ListVisitor::<K>(slot, cx)))?;
    if present {
        cx.note(field);
    }
    Ok(())
}

struct ListVisitor<'r, 'h, K: Kind>(&'r mut Vec<K::Rust>, &'r mut Reader<'h>);

impl<'de, K: Kind> Visitor<'de> for ListVisitor<'_, '_, K> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let Self(slot, cx) = self;
        let mut index = 0;
        loop {
            match items.next_element_seed(ItemSeed::<K>(cx, PhantomData)) {
                Ok(Some(Some(value))) => slot.push(value),
                // An unknown name of an enum, where such are ignored.
                Ok(Some(None)) => {}
                Ok(None) => return Ok(true),
                Err(error) => {
                    cx.within(Step::Item(index));
                    return Err(error);
                }
            }
            index += 1;
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    refuse!("a list", 1, bool: map scalars);
}

/// One item of a list or one value of a map, where null means nothing. `None` for one that is ignored.
struct ItemSeed<'r, 'h, K>(&'r mut Reader<'h>, PhantomData<K>);

impl<'de, K: Kind> DeserializeSeed<'de> for ItemSeed<'_, '_, K> {
    type Value = Option<K::Rust>;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        match K::read(value, self.0)? {
            Met::Value(value) => Ok(Some(value)),
            Met::Ignored => Ok(None),
            Met::Null => Err(self.0.fail(Fault::new(FaultKind::Null, "null is no item"))),
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
    let present = cx.unnoted(|cx| value.deserialize_any(MapVisitor::<KK, VK>(slot, cx)))?;
    if present {
        cx.note(field);
    }
    Ok(())
}

struct MapVisitor<'r, 'h, KK: Kind, VK: Kind>(&'r mut BTreeMap<KK::Rust, VK::Rust>, &'r mut Reader<'h>);

impl<'de, KK: Kind, VK: Kind> Visitor<'de> for MapVisitor<'_, '_, KK, VK>
where
    KK::Rust: Ord,
{
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Self(slot, cx) = self;
        while let Some(text) = map.next_key::<String>()? {
            let key = match KK::parse(&text, false) {
                Ok(key) => key,
                Err(fault) => return Err(cx.fail(fault.within(Step::Member(&text)))),
            };
            let value = match map.next_value_seed(ItemSeed::<VK>(cx, PhantomData)) {
                Ok(Some(value)) => value,
                Ok(None) => continue,
                Err(error) => {
                    cx.within(Step::Member(&text));
                    return Err(error);
                }
            };
            if slot.insert(key, value).is_some() {
                return Err(cx.fail(Fault::new(FaultKind::Duplicate, "given twice").within(Step::Member(&text))));
            }
        }
        Ok(true)
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    refuse!("an object", 1, bool: seq scalars);
}
