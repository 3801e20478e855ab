//! Compares the schema of a file of cases with our protos.

use std::sync::LazyLock;

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use transcoder_conformance::{
    DESCRIPTORS,
    tables::{Schema, SchemaField},
};

/// The messages of our protos.
pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap());

/// Differences between the schema and our protos.
pub fn differences(schema: &Schema, package: &str, root: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |what: &str, theirs: &str, ours: &str| {
        if theirs != ours {
            all.push(format!("its {what} is {theirs:?}, ours is {ours:?}"));
        }
    };
    differ("package", &schema.package, package);
    differ("syntax", &schema.syntax, "proto3");
    differ("root", &schema.root, root);
    for (name, fields) in &schema.messages {
        let full = format!("{package}.{name}");
        match POOL.get_message_by_name(&full) {
            None => all.push(format!("our protos have no message {full}")),
            Some(message) => all.extend(fields.iter().filter_map(|field| differing(field, &message))),
        }
    }
    for (name, values) in &schema.enums {
        let full = format!("{package}.{name}");
        match POOL.get_enum_by_name(&full) {
            None => all.push(format!("our protos have no enum {full}")),
            Some(ours) => all.extend(values.iter().filter_map(|value| missing(&value.name, value.number, &ours))),
        }
    }
    all
}

fn missing(name: &str, number: i32, ours: &EnumDescriptor) -> Option<String> {
    let known = ours.values().any(|value| value.name() == name && value.number() == number);
    (!known).then(|| format!("our {} has no {name} = {number}", ours.full_name()))
}

fn differing(theirs: &SchemaField, message: &MessageDescriptor) -> Option<String> {
    let at = format!("{}.{}", message.full_name(), theirs.name);
    let Some(ours) = message.get_field_by_name(&theirs.name) else {
        return Some(format!("our protos have no field {at}"));
    };
    let oneof = ours.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    let oneof = oneof.map_or(String::new(), |oneof| oneof.name().to_owned());
    let theirs_name = theirs.json_name.clone().unwrap_or_else(|| ours.json_name().to_owned());
    let pairs = [
        ("number", theirs.number.to_string(), ours.number().to_string()),
        ("type", theirs.r#type.clone(), type_of(&ours)),
        ("label", theirs.label.clone(), label_of(&ours).to_owned()),
        ("oneof", theirs.oneof.clone().unwrap_or_default(), oneof),
        ("json_name", theirs_name, ours.json_name().to_owned()),
    ];
    let differ = pairs.into_iter().find(|(_, theirs, ours)| theirs != ours);
    differ.map(|(what, theirs, ours)| format!("{at}: its {what} is {theirs:?}, ours is {ours:?}"))
}

fn label_of(field: &FieldDescriptor) -> &'static str {
    match field.cardinality() {
        Cardinality::Repeated if !field.is_map() => "repeated",
        Cardinality::Optional if field.field_descriptor_proto().proto3_optional() => "optional",
        _ => "",
    }
}

/// The type in the syntax of the schema.
fn type_of(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            format!("map<{}, {}>", type_of(&entry.map_entry_key_field()), type_of(&entry.map_entry_value_field()))
        }
        Kind::Message(message) => local(message.full_name(), message.package_name()),
        Kind::Enum(item) => local(item.full_name(), item.package_name()),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// Names of our packages are without their package.
fn local(full: &str, package: &str) -> String {
    if package.starts_with("google.") {
        return full.to_owned();
    }
    full.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')).unwrap_or(full).to_owned()
}
