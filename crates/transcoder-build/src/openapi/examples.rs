//! Examples: from the proto, or otherwise guessed from the names of fields. They are deterministic.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::field::{Form, in_oneof, is_null_when_unset, spelling, wrapped};
use crate::{
    Error,
    options::{FieldRule, Options, Surface},
};

/// String values by a part of the field's name. The first match decides.
const WORDS: &[(&str, &str)] = &[
    ("email", "user@example.com"),
    ("url", "https://example.com"),
    ("uri", "https://example.com"),
    ("host", "host.example.com"),
    ("domain", "example.com"),
    ("ip_address", "192.0.2.1"),
    ("cidr", "192.0.2.0/24"),
    ("_at", "2026-01-31T12:00:00Z"),
];

/// The maximum nesting of examples.
const DEPTH: usize = 6;

/// Makes the examples of a surface.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    pub options: &'a Options<'a>,
    /// The conventions of the surface.
    pub surface: &'a Surface,
    /// Input or output.
    pub form: Form,
}

impl Examples<'_> {
    /// An example of a message.
    pub fn message(&self, message: &MessageDescriptor) -> Value {
        self.nested(message, &[], &mut Vec::new())
    }

    /// An example of a message without some of its fields.
    pub fn message_without(&self, message: &MessageDescriptor, without: &[&str]) -> Value {
        self.nested(message, without, &mut Vec::new())
    }

    /// An example of a field's value.
    pub fn field(&self, field: &FieldDescriptor) -> Value {
        self.of_field(field, &mut Vec::new())
    }

    fn nested(&self, message: &MessageDescriptor, without: &[&str], above: &mut Vec<String>) -> Value {
        if let Some(value) = self.well_known(message) {
            return value;
        }
        above.push(message.full_name().to_owned());
        let (mut members, mut oneofs) = (Map::new(), Vec::new());
        for field in message.fields().filter(|field| !without.contains(&field.name())) {
            let rule = self.options.field(&field);
            // The first member of a oneof; requests have neither masks nor fields that the server sets.
            let given = self.form == Form::Output || !(rule.mask_of_body || rule.output_only);
            let oneof = in_oneof(&field).then(|| field.containing_oneof().map(|oneof| oneof.name().to_owned()));
            let first = oneof.is_none_or(|oneof| {
                let new = !oneofs.contains(&oneof);
                oneofs.push(oneof);
                new
            });
            if given && first && !self.goes_round(&field, above) {
                members.insert(spelling(self.surface, &field), self.of_field(&field, above));
            } else if given && first && is_null_when_unset(self.surface, &field) {
                members.insert(spelling(self.surface, &field), Value::Null);
            }
        }
        above.pop();
        Value::Object(members)
    }

    /// Whether a field would repeat an enclosing message or exceed the maximum nesting. Lists and maps may be empty.
    fn goes_round(&self, field: &FieldDescriptor, above: &[String]) -> bool {
        let round = |kind: Kind| match kind {
            Kind::Message(message) => above.iter().any(|name| name == message.full_name()) || above.len() >= DEPTH,
            _ => false,
        };
        !field.is_list() && !field.is_map() && round(field.kind())
    }

    fn of_field(&self, field: &FieldDescriptor, above: &mut Vec<String>) -> Value {
        let rule = self.options.field(field);
        if let Some(value) = given(self.surface, field, &rule) {
            return value;
        }
        if let Some(first) = rule.narrowed().and_then(|schema| schema.get("enum")?.get(0).cloned()) {
            return first;
        }
        let ends = |kind: &Kind| match kind {
            Kind::Message(message) => above.iter().any(|name| name == message.full_name()) || above.len() >= DEPTH,
            _ => false,
        };
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return json!({}) };
            let value = entry.map_entry_value_field();
            if ends(&value.kind()) {
                return json!({});
            }
            let key = match entry.map_entry_key_field().kind() {
                Kind::String => "key",
                Kind::Bool => "true",
                _ => "1",
            };
            return json!({key: self.single(&value, above)});
        }
        match field.is_list() {
            true if ends(&field.kind()) => json!([]),
            true => json!([self.single(field, above)]),
            false => self.single(field, above),
        }
    }

    fn single(&self, field: &FieldDescriptor, above: &mut Vec<String>) -> Value {
        match field.kind() {
            Kind::Message(message) => self.nested(&message, &[], above),
            Kind::Enum(item) => {
                let known = item.values().find(|value| value.number() != 0).or_else(|| item.values().next());
                json!(known.map(|value| value.name().to_owned()))
            }
            Kind::String if Options::has_flag(field, "decimal") => json!(1.5),
            Kind::String => json!(word(field)),
            kind => self.scalar(&kind),
        }
    }

    fn scalar(&self, kind: &Kind) -> Value {
        match kind {
            Kind::Double | Kind::Float => json!(1.5),
            Kind::Bool => json!(true),
            Kind::String => json!("text"),
            Kind::Bytes => json!("ZXhhbXBsZQ=="),
            kind if is_long(kind) && !self.surface.int64_as_number => json!("1"),
            _ => json!(1),
        }
    }

    fn well_known(&self, message: &MessageDescriptor) -> Option<Value> {
        let name = message.full_name().strip_prefix("google.protobuf.")?;
        let printed = self.form == Form::Output;
        Some(match (name, self.surface.timestamps.as_str()) {
            ("Timestamp", "NAIVE_MICROSECONDS") if printed => json!("2026-01-31T12:00:00.000000"),
            ("Timestamp", "MICROSECONDS") if printed => json!("2026-01-31T12:00:00.000000Z"),
            ("Timestamp", _) => json!("2026-01-31T12:00:00Z"),
            ("Duration", _) => json!("1.500s"),
            ("FieldMask", _) => json!("name"),
            ("Struct", _) => json!({"key": "value"}),
            ("Empty", _) => json!({}),
            ("Value", _) => json!("value"),
            ("ListValue", _) => json!(["value"]),
            ("Any", _) => json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"}),
            _ => self.scalar(&wrapped(message)?),
        })
    }
}

/// Checks the examples and schemas in the protos.
pub fn check(pool: &DescriptorPool, options: &Options<'_>) -> Result<(), Error> {
    for field in pool.all_messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let rule = options.field(&field);
        if rule.narrowed().is_none() {
            let why = format!("the schema {:?} is not a JSON object", rule.schema);
            return Err(Error::Rule { at: field.full_name().to_owned(), why });
        }
        if !rule.example.is_empty() && given(&Surface::default(), &field, &rule).is_none() {
            let why = format!("the example {:?} is not JSON", rule.example);
            return Err(Error::Rule { at: field.full_name().to_owned(), why });
        }
    }
    Ok(())
}

/// The example in the proto: the text of a string field, or JSON for any other and for decimals.
pub fn given(surface: &Surface, field: &FieldDescriptor, rule: &FieldRule) -> Option<Value> {
    if rule.example.is_empty() {
        return None;
    }
    let plain = !field.is_list() && !field.is_map();
    let decimal = Options::has_flag(field, "decimal");
    match field.kind() {
        Kind::String | Kind::Bytes if plain && !decimal => Some(json!(rule.example)),
        Kind::Enum(_) if plain => Some(json!(rule.example)),
        kind => {
            let value = serde_json::from_str(&rule.example).ok()?;
            let text = plain && is_long(&kind) && !surface.int64_as_number;
            Some(if text { json!(rule.example) } else { value })
        }
    }
}

fn is_long(kind: &Kind) -> bool {
    let signed = matches!(kind, Kind::Int64 | Kind::Sint64 | Kind::Sfixed64);
    signed || matches!(kind, Kind::Uint64 | Kind::Fixed64)
}

/// A text that fits the name of a field.
fn word(field: &FieldDescriptor) -> String {
    let name = field.name();
    if name == "id" || name.ends_with("_id") {
        return "0198c0de-0000-7000-8000-000000000001".to_owned();
    }
    let known = WORDS.iter().find(|(part, _)| name.contains(part) && (*part != "_at" || name.ends_with(part)));
    let own = || name.strip_suffix('s').filter(|_| field.is_list()).unwrap_or(name).replace('_', "-");
    known.map_or_else(own, |(_, text)| (*text).to_owned())
}
