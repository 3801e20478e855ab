//! Documents of the surface, stored as JSON in the form in which they are returned.
//!
//! Brokers and their clients define the members of these documents; we only store them. So the proto messages are also
//! the types of the area, without a second definition of the same members.

use transcoder::json::{self, JsonOptions, Message, Msg};

use crate::base::{Error, Result, error::Reason};

/// Maximum length of a document in bytes of JSON: a cluster or a namespace is settings, not content.
pub const MAX_DOCUMENT: usize = 64 * 1024;

/// A stored document has the members that were given, and may be read by a version that knows fewer of them.
const STORED: JsonOptions =
    JsonOptions { int64_as_number: true, ignore_unknown: true, max_items: u32::MAX, ..JsonOptions::PROTO3 };

/// The text of a document from the request field `field`.
pub fn to_text<M: Message>(field: &str, document: &M) -> Result<String> {
    // gRPC can carry what JSON cannot express: numbers that are not finite, and unlimited nesting.
    let unsayable =
        |cause| Error::invalid(Reason::InvalidArgument, field, "a value that JSON cannot hold").caused_by(cause);
    let bytes = json::encode::<Msg<M>>(document, &STORED).map_err(unsayable)?;
    if bytes.len() > MAX_DOCUMENT {
        let text = format!("{field} is longer than {MAX_DOCUMENT} bytes");
        return Err(Error::invalid(Reason::InvalidArgument, field, text));
    }
    String::from_utf8(bytes).map_err(Error::internal)
}

/// The document of a stored text.
pub fn from_text<M: Message>(text: &str) -> Result<M> {
    json::decode::<Msg<M>>(text.as_bytes(), &STORED).map_err(Error::internal)
}
