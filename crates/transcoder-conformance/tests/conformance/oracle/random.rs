//! Random messages of any type, from a seed.

use std::collections::HashMap;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::schema::POOL;

/// The generator of SplitMix64: small, and the same on every machine.
pub struct Random(u64);

const STRINGS: [&str; 24] = [
    "a",
    "Z",
    "0",
    " ",
    "\0",
    "\n\t\r",
    "\u{1b}",
    "\u{7f}",
    "\"",
    "\\",
    "/",
    "<>&'",
    "é",
    "e\u{301}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffd}",
    "\u{d7ff}",
    "\u{e000}",
    "名前",
    "😀",
    "\u{10ffff}",
    "null",
    "a.b_c",
];
const WORDS: [&str; 6] = ["a", "foo", "bar2", "x9y", "foo_bar", "a_b_c"];
const DOUBLES: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    1e-7,
    1e16,
    1e21,
    5e-324,
    f64::MIN_POSITIVE,
    f64::MAX,
    9_007_199_254_740_993.0,
    16_777_217.0,
    3.402_823_466_385_288_6e38,
];
const UNBOUNDED: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
const NANOS: [i32; 9] = [0, 1, 999, 1_000, 999_999, 1_000_000, 500_000_000, 999_999_000, 999_999_999];
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
const LONGEST: i64 = 315_576_000_000;
const URLS: [&str; 3] = ["type.googleapis.com/", "/", "a.example/b/c/"];
const HELD: [&str; 19] = [
    "conformance.v1.Everything",
    "conformance.v1.Inner",
    "conformance.v1.Leaf",
    "google.protobuf.Any",
    "google.protobuf.BoolValue",
    "google.protobuf.BytesValue",
    "google.protobuf.DoubleValue",
    "google.protobuf.Duration",
    "google.protobuf.Empty",
    "google.protobuf.FieldMask",
    "google.protobuf.FloatValue",
    "google.protobuf.Int32Value",
    "google.protobuf.Int64Value",
    "google.protobuf.ListValue",
    "google.protobuf.StringValue",
    "google.protobuf.Struct",
    "google.protobuf.Timestamp",
    "google.protobuf.UInt64Value",
    "google.protobuf.Value",
];

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// A message of a type.
    pub fn message(&mut self, of: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        match of.full_name() {
            "google.protobuf.Timestamp" => self.timestamp(&mut message),
            "google.protobuf.Duration" => self.duration(&mut message),
            "google.protobuf.FieldMask" => message.set_field_by_name("paths", self.paths()),
            "google.protobuf.Value" => self.dynamic(&mut message, depth),
            "google.protobuf.Any" => self.any(&mut message, depth),
            _ => {
                let most = [24, 8, 4, 2].get(depth).copied().unwrap_or(0);
                let fields: Vec<_> = of.fields().collect();
                // A type with a single field always gets it.
                for _ in 0..self.below(most + 1).max(usize::from(fields.len() == 1)).min(fields.len() * 2) {
                    let field = self.pick(&fields).clone();
                    let value = self.field(&field, depth);
                    message.set_field(&field, value);
                }
            }
        }
        message
    }

    /// A message with one field.
    pub fn of_field(&mut self, field: &FieldDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(field.parent_message().clone());
        let value = self.field(field, 2);
        message.set_field(field, value);
        message
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let deep = depth > 8;
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { panic!("{field:?}") };
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            let entries =
                (0..self.below(if deep { 1 } else { 4 })).map(|_| (self.key(&key), self.single(&value, depth + 1)));
            return Value::Map(entries.collect::<HashMap<_, _>>());
        }
        if field.is_list() {
            return Value::List(
                (0..self.below(if deep { 1 } else { 4 })).map(|_| self.single(field, depth + 1)).collect(),
            );
        }
        self.single(field, depth + 1)
    }

    fn key(&mut self, field: &FieldDescriptor) -> MapKey {
        match self.single(field, 0) {
            Value::Bool(key) => MapKey::Bool(key),
            Value::I32(key) => MapKey::I32(key),
            Value::I64(key) => MapKey::I64(key),
            Value::U32(key) => MapKey::U32(key),
            Value::U64(key) => MapKey::U64(key),
            Value::String(key) => MapKey::String(key),
            other => panic!("{other:?} is not a map key"),
        }
    }

    fn single(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        match field.kind() {
            Kind::Double => Value::F64(self.double(true)),
            Kind::Float => Value::F32(self.float()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.integer() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.integer() as i64),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.integer() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.integer()),
            Kind::Bool => Value::Bool(self.one_in(2)),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => {
                let length = *self.pick(&[0, 1, 2, 3, 4, 30]);
                Value::Bytes((0..length).map(|_| self.next() as u8).collect::<Vec<_>>().into())
            }
            Kind::Enum(of) if of.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
            Kind::Enum(_) if self.one_in(5) => Value::EnumNumber(self.integer() as i32),
            Kind::Enum(of) => {
                let numbers: Vec<_> = of.values().map(|value| value.number()).collect();
                Value::EnumNumber(*self.pick(&numbers))
            }
            Kind::Message(of) => Value::Message(self.message(&of, depth)),
        }
    }

    /// Bits that are often the minimum, the maximum or near zero for a type that keeps the lowest of them.
    fn integer(&mut self) -> u64 {
        const EDGES: [u64; 14] = [
            0,
            1,
            u64::MAX,
            u64::MAX - 1,
            1 << 31,
            (1 << 31) - 1,
            (1 << 32) - 1,
            1 << 32,
            1 << 53,
            (1 << 53) + 1,
            1 << 63,
            (1 << 63) - 1,
            (1 << 63) + 1,
            1_000_000_000_000_000_000,
        ];
        if self.one_in(3) {
            return *self.pick(&EDGES);
        }
        let bits = self.next();
        bits >> self.below(64)
    }

    fn double(&mut self, unbounded: bool) -> f64 {
        match self.below(10) {
            0..=3 => *self.pick(&DOUBLES),
            4 if unbounded => *self.pick(&UNBOUNDED),
            _ => Some(f64::from_bits(self.next())).filter(|value| unbounded || value.is_finite()).unwrap_or(0.25),
        }
    }

    fn float(&mut self) -> f32 {
        match self.below(10) {
            0..=2 => *self.pick(&[0.0, -0.0, 0.1, f32::MAX, f32::MIN_POSITIVE, 1e-45, 16_777_216.0]),
            3 => *self.pick(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
            _ => f32::from_bits(self.next() as u32),
        }
    }

    fn text(&mut self) -> String {
        let pieces = *self.pick(&[0, 1, 1, 2, 5, 40]);
        (0..pieces).map(|_| *self.pick(&STRINGS)).collect()
    }

    fn timestamp(&mut self, message: &mut DynamicMessage) {
        let spread = FIRST_SECOND + (self.next() % (LAST_SECOND - FIRST_SECOND).unsigned_abs()) as i64;
        let seconds = *self.pick(&[FIRST_SECOND, LAST_SECOND, 0, -1, 951_782_400, spread, spread, spread]);
        message.set_field_by_name("seconds", Value::I64(seconds));
        message.set_field_by_name("nanos", Value::I32(self.nanos()));
    }

    fn duration(&mut self, message: &mut DynamicMessage) {
        let sign = if self.one_in(2) { -1 } else { 1 };
        let spread = (self.next() % LONGEST.unsigned_abs()) as i64;
        let seconds = *self.pick(&[0, 1, LONGEST - 1, spread, spread]);
        let nanos = self.nanos();
        message.set_field_by_name("seconds", Value::I64(seconds * i64::from(sign)));
        message.set_field_by_name("nanos", Value::I32(nanos * sign));
    }

    fn nanos(&mut self) -> i32 {
        if self.one_in(2) { *self.pick(&NANOS) } else { (self.next() % 1_000_000_000) as i32 }
    }

    fn paths(&mut self) -> Value {
        let path =
            |random: &mut Self| (0..=random.below(3)).map(|_| *random.pick(&WORDS)).collect::<Vec<_>>().join(".");
        Value::List((0..self.below(4)).map(|_| Value::String(path(self))).collect())
    }

    /// google.protobuf.Value, which is one of its kinds.
    fn dynamic(&mut self, message: &mut DynamicMessage, depth: usize) {
        let of = |name: &str| POOL.get_message_by_name(name).unwrap();
        match self.below(if depth > 6 { 4 } else { 6 }) {
            0 => message.set_field_by_name("null_value", Value::EnumNumber(0)),
            1 => message.set_field_by_name("bool_value", Value::Bool(self.one_in(2))),
            2 => message.set_field_by_name("number_value", Value::F64(self.double(false))),
            3 => message.set_field_by_name("string_value", Value::String(self.text())),
            4 => {
                let held = self.message(&of("google.protobuf.Struct"), depth + 1);
                message.set_field_by_name("struct_value", Value::Message(held));
            }
            _ => {
                let held = self.message(&of("google.protobuf.ListValue"), depth + 1);
                message.set_field_by_name("list_value", Value::Message(held));
            }
        }
    }

    fn any(&mut self, message: &mut DynamicMessage, depth: usize) {
        if self.one_in(10) {
            return;
        }
        let name = *self.pick(&HELD);
        let held = self.message(&POOL.get_message_by_name(name).unwrap(), depth + 1);
        message.set_field_by_name("type_url", Value::String(format!("{}{name}", self.pick(&URLS))));
        message.set_field_by_name("value", Value::Bytes(held.encode_to_vec().into()));
    }
}
