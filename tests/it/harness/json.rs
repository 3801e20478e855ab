//! Dynamic messages from and to JSON, with proto names.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value};
use serde_json::Value as Json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A message from a JSON object. Times, whole seconds and masks are strings, and `Value` fields take any JSON.
pub fn message(descriptor: &MessageDescriptor, json: &Json) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            let at = match json.as_str().unwrap() {
                "$NOW" => OffsetDateTime::now_utc(),
                text => OffsetDateTime::parse(text, &Rfc3339).unwrap(),
            };
            message.set_field_by_name("seconds", Value::I64(at.unix_timestamp()));
        }
        "google.protobuf.Duration" => {
            let seconds = json.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap();
            message.set_field_by_name("seconds", Value::I64(seconds));
        }
        "google.protobuf.FieldMask" => {
            let paths = json.as_str().unwrap().split(',').map(|path| Value::String(path.to_owned())).collect();
            message.set_field_by_name("paths", Value::List(paths));
        }
        "google.protobuf.Struct" => set(&mut message, "fields", json),
        "google.protobuf.ListValue" => set(&mut message, "values", json),
        "google.protobuf.Value" => match json {
            Json::String(_) => set(&mut message, "string_value", json),
            Json::Number(_) => set(&mut message, "number_value", json),
            Json::Bool(_) => set(&mut message, "bool_value", json),
            Json::Array(_) => set(&mut message, "list_value", json),
            Json::Object(_) => set(&mut message, "struct_value", json),
            Json::Null => message.set_field_by_name("null_value", Value::EnumNumber(0)),
        },
        _ => json.as_object().unwrap().iter().for_each(|(name, json)| set(&mut message, name, json)),
    }
    message
}

fn set(message: &mut DynamicMessage, name: &str, json: &Json) {
    let descriptor = message.descriptor();
    let field = descriptor.get_field_by_name(name);
    let field = field.unwrap_or_else(|| panic!("{} has no field {name}", descriptor.full_name()));
    let value = if field.is_map() {
        let of = field.kind().as_message().unwrap().map_entry_value_field();
        let entries = json.as_object().unwrap().iter();
        Value::Map(entries.map(|(key, json)| (MapKey::String(key.clone()), one(&of, json))).collect())
    } else if field.is_list() {
        Value::List(json.as_array().unwrap().iter().map(|json| one(&field, json)).collect())
    } else {
        one(&field, json)
    };
    message.set_field(&field, value);
}

fn one(field: &FieldDescriptor, json: &Json) -> Value {
    match field.kind() {
        Kind::Message(descriptor) => Value::Message(message(&descriptor, json)),
        Kind::String => Value::String(json.as_str().unwrap_or_else(|| panic!("{}: {json}", field.name())).to_owned()),
        Kind::Bool => Value::Bool(json.as_bool().unwrap()),
        Kind::Int32 => Value::I32(json.as_i64().unwrap().try_into().unwrap()),
        Kind::Int64 => Value::I64(json.as_i64().unwrap()),
        Kind::Double => Value::F64(json.as_f64().unwrap()),
        Kind::Enum(values) => Value::EnumNumber(values.get_value_by_name(json.as_str().unwrap()).unwrap().number()),
        other => panic!("{}: fields of type {other:?} are not supported by the tests yet", field.full_name()),
    }
}

/// The fields of a message that are set, as JSON. Times only show that they are present, because they differ
/// between runs.
pub fn shown(message: &DynamicMessage) -> Json {
    if message.descriptor().full_name() == "google.protobuf.Timestamp" {
        return Json::from("a time");
    }
    message.fields().map(|(field, value)| (field.name().to_owned(), shown_value(value))).collect()
}

fn shown_value(value: &Value) -> Json {
    match value {
        Value::Message(message) => shown(message),
        Value::List(items) => items.iter().map(shown_value).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), shown_value(value)))
            .collect(),
        Value::String(text) => text.as_str().into(),
        Value::Bool(flag) => (*flag).into(),
        Value::I32(number) => (*number).into(),
        Value::I64(number) => (*number).into(),
        Value::U32(number) => (*number).into(),
        Value::U64(number) => (*number).into(),
        Value::F32(number) => f64::from(*number).into(),
        Value::F64(number) => (*number).into(),
        Value::EnumNumber(number) => (*number).into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
    }
}
