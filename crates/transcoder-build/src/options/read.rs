//! Reads the members of options, whose messages are known only by their descriptors.

use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};

pub(super) fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let extension = pool.get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_message().cloned()).flatten()
}

pub(super) fn message(of: &DynamicMessage, field: &str) -> Option<DynamicMessage> {
    of.has_field_by_name(field).then(|| of.get_field_by_name(field)?.as_message().cloned()).flatten()
}

pub(super) fn list(of: &DynamicMessage, field: &str) -> Vec<Value> {
    of.get_field_by_name(field).and_then(|value| value.as_list().map(<[Value]>::to_vec)).unwrap_or_default()
}

pub(super) fn messages(of: &DynamicMessage, field: &str) -> impl Iterator<Item = DynamicMessage> + use<> {
    list(of, field).into_iter().filter_map(|value| value.as_message().cloned())
}

pub(super) fn texts(of: &DynamicMessage, field: &str) -> Vec<String> {
    list(of, field).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// The statuses by reason of a rule.
pub(super) fn statuses(of: &DynamicMessage) -> Vec<(String, u32)> {
    messages(of, "status").map(|rule| (enum_name(&rule, "reason", "REASON_"), number(&rule, "status"))).collect()
}

pub(super) fn text(of: &DynamicMessage, field: &str) -> String {
    of.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn flag(of: &DynamicMessage, field: &str) -> bool {
    of.get_field_by_name(field).and_then(|value| value.as_bool()).unwrap_or_default()
}

pub(super) fn number(of: &DynamicMessage, field: &str) -> u32 {
    of.get_field_by_name(field).and_then(|value| value.as_u32()).unwrap_or_default()
}

/// The name of an enum value without its prefix; empty for the unspecified one.
pub(super) fn enum_name(of: &DynamicMessage, field: &str, prefix: &str) -> String {
    let number = of.get_field_by_name(field).and_then(|value| value.as_enum_number()).unwrap_or_default();
    enum_value(of, field, number, prefix)
}

pub(super) fn enum_names(of: &DynamicMessage, field: &str, prefix: &str) -> Vec<String> {
    list(of, field)
        .iter()
        .filter_map(Value::as_enum_number)
        .map(|number| enum_value(of, field, number, prefix))
        .collect()
}

pub(super) fn enum_value(of: &DynamicMessage, field: &str, number: i32, prefix: &str) -> String {
    let kind = of.descriptor().get_field_by_name(field).map(|field| field.kind());
    let value = kind.and_then(|kind| kind.as_enum().and_then(|kind| kind.get_value(number)));
    let name = value.filter(|value| value.number() != 0).map(|value| value.name().to_owned()).unwrap_or_default();
    name.strip_prefix(prefix).map(str::to_owned).unwrap_or(name)
}
