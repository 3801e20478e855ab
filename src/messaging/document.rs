//! Documents of the surface, stored as they are shown: as JSON text.
//!
//! Brokers and their clients own the members of these documents, we keep them. So the messages of the protos are the
//! types of the area here, and no second list of the same members stands beside them.

use transcoder::json::{self, Habits, Message, Msg};

use crate::base::{Error, Result, error::Reason};

/// Longest document, in bytes of its JSON: a cluster or a namespace is settings, not content.
pub const MAX_DOCUMENT: usize = 64 * 1024;

/// What is stored has the members that were given, and may be read by a program that knows fewer of them.
const STORED: Habits = Habits { int64_as_number: true, ignore_unknown: true, max_items: u32::MAX, ..Habits::PROTO3 };

/// The text of a document that a caller gave as `field`.
pub fn to_text<M: Message>(field: &str, document: &M) -> Result<String> {
    // What a gRPC caller may give and JSON cannot say: a number that is none, values nested without end.
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
