//! JSON schemas of messages and fields, as the codec reads and writes them with the options of a surface.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{
    Context, examples,
    field::{Form, is_null_when_unset, spelling, wrapped},
    names::Scope,
};
use crate::options::{FieldRule, Options, Surface};

/// The component schemas of a document, created when they are first referred to.
#[derive(Debug)]
pub struct Schemas<'c> {
    cx: &'c Context<'c>,
    scope: Scope<'c>,
    made: BTreeMap<String, Value>,
    /// The surfaces of the schemas of messages.
    surfaces: BTreeMap<String, Surface>,
}

impl<'c> Schemas<'c> {
    pub fn new(cx: &'c Context<'c>, scope: Scope<'c>) -> Self {
        Self { cx, scope, made: BTreeMap::new(), surfaces: BTreeMap::new() }
    }

    /// Adds a schema that is not one of a message.
    pub fn add(&mut self, name: String, schema: Value) {
        self.made.insert(name, schema);
    }

    /// All schemas with a reference.
    pub fn finish(self) -> Value {
        Value::Object(self.made.into_iter().collect())
    }

    /// The schema of a message.
    pub fn message(&mut self, surface: &Surface, message: &MessageDescriptor, form: Form) -> Value {
        if let Some(schema) = well_known(message, surface, form) {
            return schema;
        }
        let name = self.free(self.scope.message(&surface.name, message, form), |schemas, name| {
            schemas.surfaces.get(name).is_none_or(|surfaces| surfaces == surface)
        });
        let reference = reference(&name);
        if !self.made.contains_key(&name) {
            self.surfaces.insert(name.clone(), surface.clone());
            // A placeholder first: messages may be recursive.
            self.made.insert(name.clone(), Value::Null);
            let schema = self.object(surface, message, form, &[]);
            self.made.insert(name, schema);
        }
        reference
    }

    /// The schema of a request in the body, without the fields that the path binds.
    pub fn body(&mut self, surface: &Surface, message: &MessageDescriptor, form: Form, without: &[&str]) -> Value {
        let bound = message.fields().any(|field| without.contains(&field.name()));
        if !bound || well_known(message, surface, form).is_some() {
            return self.message(surface, message, form);
        }
        let schema = self.object(surface, message, form, without);
        let name = self.scope.message(&surface.name, message, form) + ".Body";
        // Another binding of the RPC may bind other fields.
        let name = self.free(name, |schemas, name| schemas.made.get(name).is_none_or(|made| *made == schema));
        self.made.insert(name.clone(), schema);
        reference(&name)
    }

    /// The name of the schema of a request.
    pub(super) fn name_of_body(&self, surface: &Surface, message: &MessageDescriptor, form: Form) -> String {
        self.scope.message(&surface.name, message, form)
    }

    /// The comment of a message.
    pub(super) fn comment(&self, message: &MessageDescriptor) -> &'c str {
        self.cx.comments.of(&message.parent_file(), message.path())
    }

    /// The rule of a field.
    pub(super) fn rule(&self, field: &FieldDescriptor) -> FieldRule {
        self.cx.options.field(field)
    }

    /// The first of a name and its numbered variants that may be used. A file can have other options than the surface that it
    /// belongs to, and then a message that both use has two schemas.
    fn free(&self, name: String, may: impl Fn(&Self, &str) -> bool) -> String {
        let numbered = (2_u32..).map(|number| format!("{name}.{number}"));
        let found = std::iter::once(name.clone()).chain(numbered).find(|name| may(self, name));
        found.unwrap_or(name)
    }

    /// The schema of a field's value, without the properties of the field itself.
    pub fn value(&mut self, surface: &Surface, field: &FieldDescriptor, form: Form) -> Value {
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return json!({}) };
            let values = self.single(surface, &entry.map_entry_value_field(), form);
            return json!({"type": "object", "additionalProperties": values});
        }
        let single = self.single(surface, field, form);
        if field.is_list() { json!({"type": "array", "items": single}) } else { single }
    }

    /// The schema of one value of a field.
    pub fn single(&mut self, surface: &Surface, field: &FieldDescriptor, form: Form) -> Value {
        let nested = if form == Form::Partial { Form::Input } else { form };
        match field.kind() {
            Kind::Message(message) => self.message(surface, &message, nested),
            Kind::Enum(item) => self.enumeration(surface, &item),
            Kind::String if Options::has_flag(field, "decimal") => json!({"type": "number"}),
            kind => scalar(&kind, surface.int64_as_number),
        }
    }

    fn object(&mut self, surface: &Surface, message: &MessageDescriptor, form: Form, without: &[&str]) -> Value {
        let (mut properties, mut required) = (Map::new(), BTreeSet::new());
        for field in message.fields().filter(|field| !without.contains(&field.name())) {
            let rule = self.rule(&field);
            if form != Form::Output && rule.mask_of_body {
                continue;
            }
            let name = spelling(surface, &field);
            if is_required(surface, &field, &rule, form) {
                required.insert(name.clone());
            }
            properties.insert(name, self.member(surface, &field, &rule, form));
        }
        let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
        describe(&mut schema, self.comment(message));
        if !properties.is_empty() {
            schema.insert("properties".into(), Value::Object(properties));
        }
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        if form != Form::Output && !surface.ignore_unknown {
            schema.insert("additionalProperties".into(), json!(false));
        }
        Value::Object(schema)
    }

    /// The schema of a member, with the description of the field.
    pub(super) fn member(&mut self, surface: &Surface, field: &FieldDescriptor, rule: &FieldRule, form: Form) -> Value {
        let mut schema = self.value(surface, field, form);
        if form != Form::Output {
            narrow(if field.is_list() { &mut schema["items"] } else { &mut schema }, rule);
        }
        // A member may be null if it is written so, or in a request if it is not required: null counts as absent.
        let null = if form == Form::Output { is_null_when_unset(surface, field) } else { !rule.required };
        if null {
            schema = nullable(schema);
        }
        let Value::Object(mut schema) = schema else { return schema };
        let comment = self.cx.comments.of(&field.parent_file(), field.path());
        describe(&mut schema, &with_oneof(comment, field));
        if rule.output_only {
            schema.insert("readOnly".into(), json!(true));
        }
        if rule.secret {
            if matches!(field.kind(), Kind::String) && !field.is_list() && !field.is_map() {
                schema.insert("format".into(), json!("password"));
            }
            if form != Form::Output {
                schema.insert("writeOnly".into(), json!(true));
            }
        }
        if field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            schema.insert("deprecated".into(), json!(true));
        }
        if let Some(example) = examples::given(surface, field, rule) {
            schema.insert("examples".into(), json!([example]));
        }
        Value::Object(schema)
    }

    /// The schema of an enum: the names that are written.
    fn enumeration(&mut self, surface: &Surface, item: &EnumDescriptor) -> Value {
        if item.full_name() == "google.protobuf.NullValue" {
            return json!({"type": "null"});
        }
        let name = self.scope.name(&surface.name, item.full_name(), item.package_name());
        let reference = reference(&name);
        if !self.made.contains_key(&name) {
            let mut schema = Map::from_iter([("type".to_owned(), json!("string"))]);
            let names: Vec<_> = item.enum_descriptor_proto().value.iter().map(|value| value.name()).collect();
            schema.insert("enum".into(), json!(names));
            let mut text = self.cx.comments.of(&item.parent_file(), item.path()).to_owned();
            for value in item.values() {
                let comment = self.cx.comments.of(&item.parent_file(), value.path());
                if !comment.is_empty() {
                    let gap = if text.contains("\n- ") { "\n" } else { "\n\n" };
                    text.push_str(&format!("{gap}- `{}`: {comment}", value.name()));
                }
            }
            describe(&mut schema, &text);
            self.made.insert(name, Value::Object(schema));
        }
        reference
    }
}

/// Whether the schema of an object requires a member: in responses if it is always written, in requests if a caller must send it.
pub(super) fn is_required(surface: &Surface, field: &FieldDescriptor, rule: &FieldRule, form: Form) -> bool {
    match form {
        Form::Output if field.supports_presence() => is_null_when_unset(surface, field),
        Form::Output => !surface.omit_defaults && !rule.omit_empty,
        Form::Input => rule.required,
        Form::Partial => false,
    }
}

fn with_oneof(comment: &str, field: &FieldDescriptor) -> String {
    match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
        Some(oneof) => format!("{comment}\n\nOne of `{}`: at most one of them is set.", oneof.name()).trim().to_owned(),
        None => comment.to_owned(),
    }
}

/// A reference to a component schema.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Sets the description, if there is any.
pub fn describe(schema: &mut Map<String, Value>, text: &str) {
    if !text.is_empty() {
        schema.insert("description".into(), json!(text));
    }
}

/// Adds the proto's constraints on the values of a field in requests to the schema of one value.
pub fn narrow(schema: &mut Value, rule: &FieldRule) {
    if let (Value::Object(schema), Some(narrowed)) = (schema, rule.narrowed()) {
        schema.extend(narrowed);
    }
}

/// The schema, or null.
fn nullable(schema: Value) -> Value {
    match schema {
        Value::Object(schema) if schema.get("type").is_some_and(|kind| kind == "null") => Value::Object(schema),
        Value::Object(mut schema) if schema.get("type").is_some_and(Value::is_string) => {
            let kind = schema.remove("type").unwrap_or_default();
            schema.insert("type".into(), json!([kind, "null"]));
            if let Some(Value::Array(values)) = schema.get_mut("enum") {
                values.push(Value::Null);
            }
            Value::Object(schema)
        }
        Value::Object(schema) if schema.is_empty() => Value::Object(schema),
        schema => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// The schema of a scalar.
pub fn scalar(kind: &Kind, int64_as_number: bool) -> Value {
    match kind {
        Kind::Double => json!({"type": "number", "format": "double"}),
        Kind::Float => json!({"type": "number", "format": "float"}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
        Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 if int64_as_number => json!({"type": "integer", "format": "int64"}),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "pattern": "^-?[0-9]{1,19}$"}),
        Kind::Uint64 | Kind::Fixed64 if int64_as_number => json!({"type": "integer", "minimum": 0}),
        Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "pattern": "^[0-9]{1,20}$"}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        _ => json!({"type": "string"}),
    }
}

/// The schema of a message with its own JSON form.
fn well_known(message: &MessageDescriptor, surface: &Surface, form: Form) -> Option<Value> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    let naive = surface.timestamps == "NAIVE_MICROSECONDS" && form == Form::Output;
    Some(match name {
        "Timestamp" if naive => {
            json!({"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"})
        }
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" => json!({"type": "string", "pattern": r"^-?\d{1,12}(\.\d{1,9})?s$"}),
        "FieldMask" => json!({"type": "string"}),
        "Struct" | "Empty" => json!({"type": "object"}),
        "Value" => json!({}),
        "ListValue" => json!({"type": "array", "items": {}}),
        "Any" => json!({"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}}),
        _ => scalar(&wrapped(message)?, surface.int64_as_number),
    })
}
