//! Facts about fields that schemas, examples and parameters share.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::options::{Options, Surface};

/// The use of a schema. The codec accepts more than it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Responses.
    Output,
    /// Requests.
    Input,
    /// Requests that may be completed by the query: no member is required.
    Partial,
}

/// Whether an unset field is written as null. Not if null is one of its values.
pub fn is_null_when_unset(surface: &Surface, field: &FieldDescriptor) -> bool {
    let takes_null = match field.kind() {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(item) => item.full_name() == "google.protobuf.NullValue",
        _ => false,
    };
    surface.unset_as_null && field.supports_presence() && !in_oneof(field) && !takes_null
}

/// Whether a field is a member of a oneof that the proto names.
pub fn in_oneof(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic())
}

/// The name of a field as the surface writes it.
pub fn spelling(surface: &Surface, field: &FieldDescriptor) -> String {
    let snake_case = surface.snake_case && !Options::has_flag(field, "json_name");
    if snake_case { field.name() } else { field.json_name() }.to_owned()
}

/// The type inside a wrapper such as `google.protobuf.Int64Value`.
pub fn wrapped(message: &MessageDescriptor) -> Option<Kind> {
    let wrapper = message.package_name() == "google.protobuf" && message.name().ends_with("Value");
    let value = message.get_field_by_name("value").filter(|_| wrapper && message.fields().len() == 1)?;
    (!value.is_list()).then(|| value.kind())
}
