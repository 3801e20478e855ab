//! What is wrong with a request: where, of which sort, and in our own words.

use std::{fmt, ops::Deref};

use serde_json::Value;

/// A request that cannot be decoded. The texts are ours; no parser's words reach a caller. Faults are rare, so what is
/// known of one is kept in a box: a result that might hold one stays small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(Box<FaultFacts>);

/// What is known of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultFacts {
    /// The sort of fault.
    pub kind: FaultKind,
    /// The part of the request that it is in.
    pub place: Place,
    /// The steps from the whole to the member, outermost first; a query key and a path variable are one step.
    pub steps: Vec<PathStep>,
    /// What is wrong.
    pub message: String,
    /// What was expected, where a value is at fault.
    pub expected: Option<Expected>,
    /// The value at fault, where it is a scalar that is short, and no secret.
    pub input: Option<Value>,
    /// At which byte of the body the syntax breaks.
    pub offset: Option<usize>,
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
    /// A query key for a field that the body gives with another value.
    Conflict,
}

/// Parts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
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
    /// true or false.
    Boolean,
    /// A number with or without a fraction.
    Number,
    /// A signed integer of 32 bits, as number or text.
    Int32,
    /// A signed integer of 64 bits, as number or text.
    Int64,
    /// An unsigned integer of 32 bits, as number or text.
    UInt32,
    /// An unsigned integer of 64 bits, as number or text.
    UInt64,
    /// A string.
    String,
    /// A string of base64.
    Base64,
    /// The name or number of a value of an enum.
    Enum,
    /// A list.
    List,
    /// An object.
    Object,
    /// A string that is a time.
    Timestamp,
    /// A string that is a duration.
    Duration,
    /// A string that is a field mask.
    FieldMask,
}

impl Expected {
    /// The words for it.
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
            Self::Enum => "a name or number of the enum",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Timestamp => "a time in RFC 3339, such as 2026-01-31T12:00:00Z",
            Self::Duration => "seconds with an s, such as 1.5s",
            Self::FieldMask => "field paths in lower camel case, joined by commas",
        }
    }
}

/// The longest text that a fault repeats, in bytes.
const LONGEST_INPUT: usize = 100;

impl Fault {
    /// A fault of the whole body; [`Fault::within`] says where.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self(Box::new(FaultFacts {
            kind,
            place: Place::Body,
            steps: Vec::new(),
            message: message.into(),
            expected: None,
            input: None,
            offset: None,
        }))
    }

    /// A value that does not read as what was expected.
    pub fn expected(expected: Expected) -> Self {
        Self::new(FaultKind::WrongType, format!("expected {}", expected.words())).expecting(expected)
    }

    /// The fault of a value that was expected to be something.
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.0.expected = Some(expected);
        self
    }

    /// The fault, one step further out.
    pub fn within(mut self, step: Step<'_>) -> Self {
        self.0.steps.insert(0, step.into());
        self
    }

    /// The fault in a part of the request.
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = place;
        self
    }

    /// The fault with the value that is at fault, where it has none yet and the value is short.
    pub fn given(mut self, value: impl FnOnce() -> Value) -> Self {
        if self.0.input.is_none() {
            self.0.input = Some(value()).filter(|value| value.as_str().is_none_or(|text| text.len() <= LONGEST_INPUT));
        }
        self
    }

    /// The fault without the value that is at fault, which is a secret.
    pub fn secret(mut self) -> Self {
        self.0.input = None;
        self
    }

    /// The fault at a byte of the body.
    pub fn at_byte(mut self, offset: usize) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// JSON path of the member (`info.ids[2]`), or the query key or path variable; empty for the whole.
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

impl Deref for Fault {
    type Target = FaultFacts;

    fn deref(&self) -> &FaultFacts {
        &self.0
    }
}

/// One step of a path, as a fault keeps it.
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        if path.is_empty() { f.write_str(&self.message) } else { write!(f, "{path}: {}", self.message) }
    }
}

impl std::error::Error for Fault {}
