//! What is wrong with a request: where, of which sort, and in our own words.

use std::fmt;

/// A request that cannot be decoded. The texts are ours; no parser's words reach a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The sort of fault.
    pub kind: FaultKind,
    /// JSON path of the member (`info.ids[2]`), or the query key; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// Sorts of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The body is not JSON, or more than one JSON value.
    Syntax,
    /// A value of another JSON type, or a text that does not read as the type.
    WrongType,
    /// A number that the type cannot hold.
    OutOfRange,
    /// A member or query key that the message does not have.
    Unknown,
    /// A member or query key that is given twice.
    Duplicate,
    /// Two members of one oneof.
    Oneof,
    /// `null` where it means nothing.
    Null,
    /// Nested too deep.
    Depth,
    /// More items than a request may hold.
    Items,
    /// An escape that is malformed or does not give UTF-8.
    Encoding,
    /// A query key for a field that the path or the body binds.
    Bound,
}

impl Fault {
    /// A fault of the whole; [`Fault::within`] says where.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, path: String::new(), message: message.into() }
    }

    /// The fault, one step further out.
    pub fn within(mut self, step: Step<'_>) -> Self {
        self.path = match step {
            Step::Member(name) if self.path.is_empty() || self.path.starts_with('[') => format!("{name}{}", self.path),
            Step::Member(name) => format!("{name}.{}", self.path),
            Step::Item(index) if self.path.is_empty() || self.path.starts_with('[') => {
                format!("[{index}]{}", self.path)
            }
            Step::Item(index) => format!("[{index}].{}", self.path),
        };
        self
    }
}

/// One step of a JSON path.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A member of an object.
    Member(&'a str),
    /// An item of a list.
    Item(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for Fault {}
