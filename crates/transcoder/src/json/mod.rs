//! proto3 JSON, with the options of a surface.
//!
//! Generated code implements [`Message`] and [`Enum`] and names a [`Kind`] for each field. One generic visitor reads
//! and one generic writer writes. `serde_json` is the format library.

mod decode_error;
mod escape;
mod kind;
mod message;
mod missing;
mod options;
pub mod read;
pub mod scalar;
pub mod text;
mod types;
pub mod wellknown;
mod write;

pub use decode_error::{DecodeError, DecodeErrorDetails, DecodeErrorKind, Expected, PathStep, RequestPart, Step};
pub use kind::{Boxed, EnumOf, Kind, Msg, ReadOutcome};
pub use message::{Enum, Field, Message};
pub use missing::Missing;
pub use options::{JsonOptions, Names, Timestamps};
pub use read::Reader;
pub use types::{AnyType, Types};
pub use write::{EncodeError, Members, Writer};

/// Reads a JSON text.
pub fn decode<K: Kind>(bytes: &[u8], options: &JsonOptions) -> Result<K::Rust, DecodeError> {
    let mut value = K::Rust::default();
    match read::from_slice(bytes, Reader::new(options), |json, cx| K::read(&mut value, json, cx))? {
        (ReadOutcome::Value, _) => Ok(value),
        _ => Err(DecodeError::new(DecodeErrorKind::Null, "null is not allowed here")),
    }
}

/// Writes a JSON text.
pub fn encode<K: Kind>(value: &K::Rust, options: &JsonOptions) -> Result<Vec<u8>, EncodeError> {
    // Enough for a typical message, so that the buffer does not grow while it is written.
    let mut writer = Writer::with_capacity(options, 1024);
    K::write(value, &mut writer);
    writer.finish()
}
