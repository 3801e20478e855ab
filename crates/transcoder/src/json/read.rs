//! Reading JSON into messages: the one generic visitor behind the generated code.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    fault::{Fault, FaultKind, Step},
    habits::Habits,
    kind::Kind,
    message::Message,
};

/// The visits of JSON types that a visitor does not expect: each fails with "expected .., found ..".
macro_rules! refuse {
    ($expected:literal, $cx:tt, $value:ty: $($visit:ident)*) => { $(refuse!(@ $expected, $cx, $value, $visit);)* };
    (@ $expected:literal, $cx:tt, $value:ty, map) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<$value, A::Error> {
            Err(self.$cx.wrong_type($expected, "an object"))
        }
    };
    (@ $expected:literal, $cx:tt, $value:ty, seq) => {
        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<$value, A::Error> {
            Err(self.$cx.wrong_type($expected, "a list"))
        }
    };
    (@ $expected:literal, $cx:tt, $value:ty, scalars) => {
        fn visit_str<E: de::Error>(self, _: &str) -> Result<$value, E> {
            Err(self.$cx.wrong_type($expected, "a string"))
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<$value, E> {
            Err(self.$cx.wrong_type($expected, "a boolean"))
        }

        fn visit_u64<E: de::Error>(self, _: u64) -> Result<$value, E> {
            Err(self.$cx.wrong_type($expected, "a number"))
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<$value, E> {
            Err(self.$cx.wrong_type($expected, "a number"))
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<$value, E> {
            Err(self.$cx.wrong_type($expected, "a number"))
        }
    };
}

/// The state of one reading. Faults are kept here, with their path, because the format library's errors have no room
/// for them.
#[derive(Debug)]
pub struct Reader<'h> {
    /// The habits of the surface.
    pub habits: &'h Habits,
    depth: u16,
    fault: Option<Fault>,
    given: Option<Given>,
}

/// The members that were given, as paths in proto names.
#[derive(Debug, Default)]
struct Given {
    prefix: Vec<&'static str>,
    paths: Vec<String>,
}

impl<'h> Reader<'h> {
    /// A reading in the habits of a surface.
    pub fn new(habits: &'h Habits) -> Self {
        Self { habits, depth: 0, fault: None, given: None }
    }

    /// Keeps note of the members that are given.
    pub fn noting_members(mut self) -> Self {
        self.given = Some(Given::default());
        self
    }

    /// The members that were given, as paths of a field mask.
    pub fn into_members(self) -> Vec<String> {
        self.given.map(|given| given.paths).unwrap_or_default()
    }

    /// Keeps a fault and makes the error that unwinds the format library.
    pub fn fail<E: de::Error>(&mut self, fault: Fault) -> E {
        self.fault.get_or_insert(fault);
        E::custom("fault")
    }

    /// A value of another type than was expected.
    pub(super) fn wrong_type<E: de::Error>(&mut self, expected: &str, found: &str) -> E {
        self.fail(Fault::new(FaultKind::WrongType, format!("expected {expected}, found {found}")))
    }

    fn within(&mut self, step: Step<'_>) {
        self.fault = self.fault.take().map(|fault| fault.within(step));
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > self.habits.max_depth {
            let text = format!("nested deeper than {} levels", self.habits.max_depth);
            return Err(self.fail(Fault::new(FaultKind::Depth, text)));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Reads something one level deeper.
    pub(super) fn nested<T, E: de::Error>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.enter()?;
        let value = read(self)?;
        self.leave();
        Ok(value)
    }

    fn note(&mut self, field: &'static str) {
        if let Some(given) = &mut self.given {
            let mut path = given.prefix.join(".");
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(field);
            given.paths.push(path);
        }
    }
}

/// Reads one JSON value, and nothing after it.
pub fn from_slice<'h, T>(
    bytes: &[u8],
    mut cx: Reader<'h>,
    read: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::SliceRead<'_>>,
        &mut Reader<'h>,
    ) -> Result<T, serde_json::Error>,
) -> Result<(T, Reader<'h>), Fault> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let outcome = read(&mut deserializer, &mut cx).and_then(|value| deserializer.end().map(|()| value));
    match outcome {
        Ok(value) => Ok((value, cx)),
        Err(error) => Err(cx.fault.take().unwrap_or_else(|| syntax(&error))),
    }
}

/// Our words for what the format library found.
fn syntax(error: &serde_json::Error) -> Fault {
    let text = if error.is_eof() {
        "the JSON ends too early".to_owned()
    } else {
        format!("malformed JSON at line {}, column {}", error.line(), error.column())
    };
    Fault::new(FaultKind::Syntax, text)
}

/// Reads the value of a message. `None` for null.
pub(super) fn message<'de, M: Message, D: Deserializer<'de>>(
    value: D,
    cx: &mut Reader<'_>,
) -> Result<Option<M>, D::Error> {
    value.deserialize_any(MessageVisitor(cx, PhantomData))
}

struct MessageVisitor<'r, 'h, M>(&'r mut Reader<'h>, PhantomData<M>);

impl<'de, M: Message> Visitor<'de> for MessageVisitor<'_, '_, M> {
    type Value = Option<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let cx = self.0;
        cx.enter()?;
        let mut message = M::default();
        let mut seen = Seen::new(M::FIELDS.len());
        while let Some(key) = map.next_key_seed(KeySeed::<M>(cx, PhantomData))? {
            let Some(field) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let name = M::FIELDS[field].json;
            if !seen.insert(field) {
                return Err(cx.fail(Fault::new(FaultKind::Duplicate, "given twice").within(Step::Member(name))));
            }
            let seed = FieldSeed { message: &mut message, field, cx: &mut *cx };
            if let Err(error) = map.next_value_seed(seed) {
                cx.within(Step::Member(name));
                return Err(error);
            }
        }
        cx.leave();
        Ok(Some(message))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    refuse!("an object", 0, Self::Value: seq scalars);
}

/// Which fields were met. Messages of up to 64 fields need no memory of their own.
struct Seen {
    few: u64,
    many: Vec<bool>,
}

impl Seen {
    fn new(fields: usize) -> Self {
        Self { few: 0, many: if fields > 64 { vec![false; fields] } else { Vec::new() } }
    }

    /// Whether the field is new.
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

/// Turns a key into the index of a field; `None` for one that is ignored.
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
        match find::<M>(key, self.0.habits) {
            Some(field) => Ok(Some(field)),
            None if self.0.habits.ignore_unknown => Ok(None),
            None => {
                let fault = Fault::new(FaultKind::Unknown, "unknown member").within(Step::Member(key));
                Err(self.0.fail(fault))
            }
        }
    }
}

/// The field of a name in either spelling.
pub(crate) fn find<M: Message>(name: &str, habits: &Habits) -> Option<usize> {
    M::field(name).or_else(|| {
        let same = |known: &str| known.eq_ignore_ascii_case(name);
        habits.any_case.then(|| M::FIELDS.iter().position(|field| same(field.json) || same(field.proto))).flatten()
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

/// Reads a field without presence; null leaves it as it is.
pub fn one<'de, K: Kind, D: Deserializer<'de>>(
    slot: &mut K::Rust,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<(), D::Error> {
    if let Some(value) = member::<K, D>(field, value, cx)? {
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
    *slot = member::<K, D>(field, value, cx)?;
    Ok(())
}

/// Reads a member of a oneof, of which `taken` says whether another member is set already.
pub fn oneof<'de, K: Kind, D: Deserializer<'de>>(
    taken: bool,
    field: &'static str,
    value: D,
    cx: &mut Reader<'_>,
) -> Result<Option<K::Rust>, D::Error> {
    let value = member::<K, D>(field, value, cx)?;
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
) -> Result<Option<K::Rust>, D::Error> {
    let Some(given) = &mut cx.given else { return K::read(value, cx) };
    given.prefix.push(field);
    let before = given.paths.len();
    let value = K::read(value, cx)?;
    let Some(given) = &mut cx.given else { return Ok(value) };
    given.prefix.pop();
    if value.is_some() && given.paths.len() == before {
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
    let given = cx.given.take();
    let present = value.deserialize_any(ListVisitor::<K>(slot, cx))?;
    cx.given = given;
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
                Ok(Some(value)) => slot.push(value),
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

/// One item of a list or one value of a map, where null means nothing.
struct ItemSeed<'r, 'h, K>(&'r mut Reader<'h>, PhantomData<K>);

impl<'de, K: Kind> DeserializeSeed<'de> for ItemSeed<'_, '_, K> {
    type Value = K::Rust;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<K::Rust, D::Error> {
        match K::read(value, self.0)? {
            Some(value) => Ok(value),
            None => Err(self.0.fail(Fault::new(FaultKind::Null, "null is no item"))),
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
    let given = cx.given.take();
    let present = value.deserialize_any(MapVisitor::<KK, VK>(slot, cx))?;
    cx.given = given;
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
                Ok(value) => value,
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
