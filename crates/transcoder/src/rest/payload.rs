//! The body of a response that is sent in one piece.

use bytes::Bytes;
use http::HeaderValue;

use crate::json::{EncodeError, JsonOptions, Kind, Message, Writer};

/// A complete body.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Value of Content-Type.
    pub content_type: HeaderValue,
    /// The bytes.
    pub bytes: Bytes,
}

/// The media type of JSON.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Payload {
    pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

    /// Raw bytes of a media type, as `google.api.HttpBody` carries them.
    pub fn raw(content_type: &str, bytes: impl Into<Bytes>) -> Self {
        let content_type = HeaderValue::from_str(content_type).ok().filter(|value| !value.is_empty());
        Self { content_type: content_type.unwrap_or(Self::OCTETS), bytes: bytes.into() }
    }
}

/// Capacity for a typical response, so that the buffer does not grow.
pub(super) const ROOM: usize = 1024;

/// Writes a response, or one field of it, as JSON.
pub fn json<M: Message>(message: M, field: Option<usize>, options: &JsonOptions) -> Result<Payload, EncodeError> {
    let mut writer = Writer::with_capacity(options, ROOM);
    match field {
        Some(field) => writer.field(&message, field),
        None => writer.message(&message),
    }
    Ok(Payload { content_type: JSON, bytes: writer.finish()?.into() })
}

/// Writes a response with a well-known type as JSON.
pub fn value<K: Kind>(value: K::Rust, _: Option<usize>, options: &JsonOptions) -> Result<Payload, EncodeError> {
    let mut writer = Writer::with_capacity(options, ROOM);
    K::write(&value, &mut writer);
    Ok(Payload { content_type: JSON, bytes: writer.finish()?.into() })
}
