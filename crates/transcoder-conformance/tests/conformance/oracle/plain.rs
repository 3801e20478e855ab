//! Messages as text that is equal for equal messages: fields and map entries in order, NaN as NaN, the content of an
//! Any as a message.

use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, MapKey, ReflectMessage as _, Value};

use crate::schema::POOL;

/// The text of an encoded `Everything`.
pub fn plain(binary: &[u8]) -> String {
    let descriptor = POOL.get_message_by_name(super::NAME).unwrap();
    let mut out = String::new();
    message(&DynamicMessage::decode(descriptor, binary).unwrap(), &mut out);
    out
}

fn message(of: &DynamicMessage, out: &mut String) {
    if of.descriptor().full_name() == "google.protobuf.Any" && any(of, out) {
        return;
    }
    let mut fields: Vec<_> = of.fields().collect();
    fields.sort_by_key(|(field, _)| field.number());
    out.push('{');
    for (field, of) in fields {
        let _ = write!(out, "{} ", field.name());
        value(of, out);
        out.push(';');
    }
    for unknown in of.unknown_fields() {
        let _ = write!(out, "{unknown:?};");
    }
    out.push('}');
}

/// Whether its content was written.
fn any(of: &DynamicMessage, out: &mut String) -> bool {
    let (url, bytes) = (of.get_field_by_name("type_url").unwrap(), of.get_field_by_name("value").unwrap());
    let (Some(url), Some(bytes)) = (url.as_str(), bytes.as_bytes()) else { return false };
    let name = url.rsplit('/').next().unwrap_or_default();
    let Some(descriptor) = POOL.get_message_by_name(name) else { return false };
    let Ok(held) = DynamicMessage::decode(descriptor, bytes.clone()) else { return false };
    let _ = write!(out, "any {url:?} ");
    message(&held, out);
    true
}

fn value(of: &Value, out: &mut String) {
    match of {
        Value::Message(of) => message(of, out),
        Value::F32(of) if of.is_nan() => out.push_str("NaN"),
        Value::F64(of) if of.is_nan() => out.push_str("NaN"),
        Value::List(items) => {
            out.push('[');
            for item in items {
                value(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Map(entries) => {
            let mut entries: Vec<(&MapKey, &Value)> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('<');
            for (key, of) in entries {
                let _ = write!(out, "{key:?} ");
                match of {
                    // prost omits values that equal the default, and so the sign of zero, but only in maps.
                    Value::F32(of) if *of == 0.0 => out.push_str("F32(0.0)"),
                    Value::F64(of) if *of == 0.0 => out.push_str("F64(0.0)"),
                    of => value(of, out),
                }
                out.push(',');
            }
            out.push('>');
        }
        scalar => {
            let _ = write!(out, "{scalar:?}");
        }
    }
}
