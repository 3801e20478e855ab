//! Why a request cannot be decoded: where, what kind of error, and a text for the caller.

use std::{fmt, ops::Deref};

use serde_json::Value;

/// A request that cannot be decoded. Its text never contains words of a parser. Errors are rare, so the details are
/// boxed, which keeps a `Result` with one small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<DecodeErrorDetails>);

/// The details of a decoding error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeErrorDetails {
    /// What kind of error it is.
    pub kind: DecodeErrorKind,
    /// The part of the request.
    pub part: RequestPart,
    /// The path to the member, outermost first; a query key or path variable is one step.
    pub steps: Vec<PathStep>,
    /// The text for the caller.
    pub message: String,
    /// What was expected, for a wrong value.
    pub expected: Option<Expected>,
    /// The wrong value, if it is a short scalar and not a secret.
    pub input: Option<Value>,
    /// The byte of the body at which the syntax is wrong.
    pub offset: Option<usize>,
}

/// Kinds of decoding errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodeErrorKind {
    /// The body is not JSON, or more than one JSON value.
    Syntax,
    /// A value of another JSON type, or a text that does not parse as the type.
    WrongType,
    /// A number that the type cannot hold.
    OutOfRange,
    /// A member or query key that the message does not have.
    Unknown,
    /// A member or query key that appears twice.
    Duplicate,
    /// Two members of one oneof.
    Oneof,
    /// `null` where it is not allowed.
    Null,
    /// Nested too deeply.
    Depth,
    /// More items than allowed.
    Items,
    /// An escape that is malformed or does not decode to UTF-8.
    Encoding,
    /// A query key for a field that the path or the body binds.
    Bound,
    /// A query key for a field that has another value in the body.
    Conflict,
}

/// Parts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestPart {
    /// The body.
    Body,
    /// The query.
    Query,
    /// The path.
    Path,
    /// A header.
    Header,
}

/// What a value was expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// `true` or `false`.
    Boolean,
    /// A number with or without a fraction.
    Number,
    /// A signed 32-bit integer, as a number or string.
    Int32,
    /// A signed 64-bit integer, as a number or string.
    Int64,
    /// An unsigned 32-bit integer, as a number or string.
    UInt32,
    /// An unsigned 64-bit integer, as a number or string.
    UInt64,
    /// A string.
    String,
    /// A base64 string.
    Base64,
    /// The name or number of an enum value.
    Enum,
    /// A list.
    List,
    /// An object.
    Object,
    /// A timestamp string.
    Timestamp,
    /// A duration string.
    Duration,
    /// A field mask string.
    FieldMask,
}

impl Expected {
    /// The text for error messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Int32 => "a 32-bit integer",
            Self::Int64 => "a 64-bit integer",
            Self::UInt32 => "an unsigned 32-bit integer",
            Self::UInt64 => "an unsigned 64-bit integer",
            Self::String => "a string",
            Self::Base64 => "a base64 string",
            Self::Enum => "an enum name or number",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Timestamp => "an RFC 3339 time, such as 2026-01-31T12:00:00Z",
            Self::Duration => "a duration in seconds, such as 1.5s",
            Self::FieldMask => "field paths in lower camel case, joined by commas",
        }
    }
}

/// The longest value that an error repeats, in bytes.
const LONGEST_INPUT: usize = 100;

impl DecodeError {
    /// An error in the whole body; [`DecodeError::within`] adds the location.
    pub fn new(kind: DecodeErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(DecodeErrorDetails {
            kind,
            part: RequestPart::Body,
            steps: Vec::new(),
            message: message.into(),
            expected: None,
            input: None,
            offset: None,
        }))
    }

    /// A value that does not parse as the expected type.
    pub fn expected(expected: Expected) -> Self {
        Self::new(DecodeErrorKind::WrongType, format!("expected {}", expected.words())).expecting(expected)
    }

    /// Sets the expected type.
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.0.expected = Some(expected);
        self
    }

    /// Adds an enclosing step to the path.
    pub fn within(mut self, step: Step<'_>) -> Self {
        self.0.steps.insert(0, step.into());
        self
    }

    /// Sets the part of the request.
    pub fn at(mut self, part: RequestPart) -> Self {
        self.0.part = part;
        self
    }

    /// Sets the wrong value, unless there is one already or the value is long.
    pub fn with_input(mut self, value: impl FnOnce() -> Value) -> Self {
        if self.0.input.is_none() {
            self.0.input = Some(value()).filter(|value| value.as_str().is_none_or(|text| text.len() <= LONGEST_INPUT));
        }
        self
    }

    /// Removes the wrong value, because it is a secret.
    pub fn secret(mut self) -> Self {
        self.0.input = None;
        self
    }

    /// Sets the byte of the body.
    pub fn at_byte(mut self, offset: usize) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// JSON path of the member (`info.ids[2]`), or the query key or path variable; empty for the whole part.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.0.steps {
            match step {
                PathStep::Member(name) if path.is_empty() => path.push_str(name),
                PathStep::Member(name) => path.extend([".", name]),
                PathStep::Item(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl Deref for DecodeError {
    type Target = DecodeErrorDetails;

    fn deref(&self) -> &DecodeErrorDetails {
        &self.0
    }
}

/// One step of a path, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// A member of an object.
    Member(String),
    /// An item of a list.
    Item(usize),
}

/// One step of a path.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A member of an object.
    Member(&'a str),
    /// An item of a list.
    Item(usize),
}

impl From<Step<'_>> for PathStep {
    fn from(step: Step<'_>) -> Self {
        match step {
            Step::Member(name) => Self::Member(name.to_owned()),
            Step::Item(index) => Self::Item(index),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        if path.is_empty() { f.write_str(&self.message) } else { write!(f, "{path}: {}", self.message) }
    }
}

impl std::error::Error for DecodeError {}
