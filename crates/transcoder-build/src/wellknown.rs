//! The well-known types: what prost and the codec call them.

use prost_reflect::MessageDescriptor;

/// A well-known type that has a form in JSON.
#[derive(Debug)]
pub struct WellKnown {
    name: &'static str,
    /// The type that prost gives it.
    pub rust: &'static str,
    /// The kind that reads and writes it.
    pub kind: &'static str,
}

/// Those that stand for a value of their own; wrappers are for prost the wrapped type.
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

/// Whether a message is one of protobuf's own, which get no code of ours.
pub fn is_well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

/// What is known of a well-known type; nothing of one that has no form in JSON.
pub fn well_known(message: &MessageDescriptor) -> Option<&'static WellKnown> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    TABLE.iter().find(|known| known.name == name)
}
