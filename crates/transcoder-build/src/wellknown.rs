//! The well-known types and their names in prost and the codec.

use prost_reflect::MessageDescriptor;

/// A well-known type with its own JSON form.
#[derive(Debug)]
pub struct WellKnown {
    name: &'static str,
    /// Its Rust type in prost.
    pub rust: &'static str,
    /// The kind that reads and writes it.
    pub kind: &'static str,
}

/// Types with a value of their own; prost maps wrappers to the wrapped type.
const TABLE: &[WellKnown] = &[
    known("DoubleValue", "f64", "::transcoder::json::scalar::Double"),
    known("FloatValue", "f32", "::transcoder::json::scalar::Float"),
    known("Int32Value", "i32", "::transcoder::json::scalar::Int32"),
    known("Int64Value", "i64", "::transcoder::json::scalar::Int64"),
    known("UInt32Value", "u32", "::transcoder::json::scalar::UInt32"),
    known("UInt64Value", "u64", "::transcoder::json::scalar::UInt64"),
    known("BoolValue", "bool", "::transcoder::json::scalar::Bool"),
    known("StringValue", "::std::string::String", "::transcoder::json::scalar::Str"),
    known("BytesValue", "::std::vec::Vec<u8>", "::transcoder::json::scalar::Bytes"),
    known("Empty", "()", "::transcoder::json::Msg<()>"),
    known("Any", "::prost_types::Any", "::transcoder::json::wellknown::Any"),
    known("Timestamp", "::prost_types::Timestamp", "::transcoder::json::wellknown::Timestamp"),
    known("Duration", "::prost_types::Duration", "::transcoder::json::wellknown::Duration"),
    known("FieldMask", "::prost_types::FieldMask", "::transcoder::json::wellknown::FieldMask"),
    known("Struct", "::prost_types::Struct", "::transcoder::json::wellknown::Struct"),
    known("Value", "::prost_types::Value", "::transcoder::json::wellknown::Value"),
    known("ListValue", "::prost_types::ListValue", "::transcoder::json::wellknown::ListValue"),
];

const fn known(name: &'static str, rust: &'static str, kind: &'static str) -> WellKnown {
    WellKnown { name, rust, kind }
}

/// Whether a message is one of protobuf's own, for which no code is generated.
pub fn is_well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

/// The entry of a well-known type; `None` if it has no JSON form of its own.
pub fn well_known(message: &MessageDescriptor) -> Option<&'static WellKnown> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    TABLE.iter().find(|known| known.name == name)
}
