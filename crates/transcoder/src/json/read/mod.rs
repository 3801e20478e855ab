//! Reads JSON into messages: the generic visitor behind the generated code.

mod field;
mod members;
mod scalar;

use serde::de;

pub use field::{list, map, one, oneof, optional};
pub(crate) use members::find;
pub(super) use members::{message, of_members};
pub(super) use scalar::{Scalar, convert, parsed};

use super::{
    decode_error::{DecodeError, DecodeErrorKind, Expected, Step},
    options::JsonOptions,
};

/// The visits of JSON types that a visitor does not expect. Each fails with "expected .., found ..".
macro_rules! refuse {
    ($expected:ident, $cx:tt, $value:ty: $($visit:ident)*) => { $(refuse!(@ $expected, $cx, $value, $visit);)* };
    (@ $expected:ident, $cx:tt, $value:ty, map) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<$value, A::Error> {
            Err(self.$cx.wrong_type(Expected::$expected, "an object"))
        }
    };
    (@ $expected:ident, $cx:tt, $value:ty, seq) => {
        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<$value, A::Error> {
            Err(self.$cx.wrong_type(Expected::$expected, "a list"))
        }
    };
    (@ $expected:ident, $cx:tt, $value:ty, scalars) => {
        fn visit_str<E: de::Error>(self, value: &str) -> Result<$value, E> {
            Err(self.$cx.fail(Scalar::Text(value.into()).mismatch(Expected::$expected)))
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<$value, E> {
            Err(self.$cx.fail(Scalar::Bool(value).mismatch(Expected::$expected)))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<$value, E> {
            Err(self.$cx.fail(Scalar::Unsigned(value).mismatch(Expected::$expected)))
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<$value, E> {
            Err(self.$cx.fail(Scalar::Signed(value).mismatch(Expected::$expected)))
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<$value, E> {
            Err(self.$cx.fail(Scalar::Float(value).mismatch(Expected::$expected)))
        }
    };
}

pub(super) use refuse;

/// The state of a decoding. Errors are kept here with their path, because the format library's error type cannot hold
/// them.
#[derive(Debug)]
pub struct Reader<'h> {
    /// The options of the surface.
    pub options: &'h JsonOptions,
    depth: u16,
    items: u32,
    error: Option<DecodeError>,
    given: Option<Given>,
}

/// The members of the input, as paths in proto names.
#[derive(Debug, Default)]
struct Given {
    prefix: Vec<&'static str>,
    paths: Vec<String>,
}

impl<'h> Reader<'h> {
    /// A reader with the options of a surface.
    pub fn new(options: &'h JsonOptions) -> Self {
        Self { options, depth: 0, items: 0, error: None, given: None }
    }

    /// Records the members of the input.
    pub fn noting_members(mut self) -> Self {
        self.given = Some(Given::default());
        self
    }

    /// The recorded members, as paths of a field mask.
    pub fn into_members(self) -> Vec<String> {
        self.given.map(|given| given.paths).unwrap_or_default()
    }

    /// Keeps the error and returns the one that unwinds the format library.
    pub fn fail<E: de::Error>(&mut self, error: DecodeError) -> E {
        self.error.get_or_insert(error);
        E::custom("cannot decode")
    }

    /// Translates an error of the format library, unless an error was kept already.
    pub(super) fn fail_with<E: de::Error>(&mut self, error: &serde_json::Error) -> E {
        self.error.get_or_insert_with(|| syntax(error));
        E::custom("cannot decode")
    }

    /// A value of an unexpected type.
    pub(super) fn wrong_type<E: de::Error>(&mut self, expected: Expected, found: &str) -> E {
        self.fail(wrong_type(expected, found))
    }

    pub(super) fn within(&mut self, step: Step<'_>) {
        self.error = self.error.take().map(|error| error.within(step));
    }

    /// The error is in a field whose value is a secret.
    fn secret(&mut self) {
        self.error = self.error.take().map(DecodeError::secret);
    }

    /// Reads something one level deeper.
    pub(super) fn nested<T, E: de::Error>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.depth += 1;
        if self.depth > self.options.max_depth {
            let text = format!("nested deeper than {} levels", self.options.max_depth);
            return Err(self.fail(DecodeError::new(DecodeErrorKind::Depth, text)));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Counts an item of a list or an entry of a map.
    pub(super) fn count<E: de::Error>(&mut self) -> Result<(), E> {
        self.items += 1;
        if self.items > self.options.max_items {
            let text = format!("more than {} items", self.options.max_items);
            return Err(self.fail(DecodeError::new(DecodeErrorKind::Items, text)));
        }
        Ok(())
    }

    /// Reads something whose members are not recorded: a mask ends before it.
    pub(super) fn unnoted<T, E>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let given = self.given.take();
        let value = read(self)?;
        self.given = given;
        Ok(value)
    }

    fn note(&mut self, field: &'static str) {
        if let Some(given) = &mut self.given {
            let mut path = String::with_capacity(32);
            for outer in &given.prefix {
                path.push_str(outer);
                path.push('.');
            }
            path.push_str(field);
            given.paths.push(path);
        }
    }
}

/// Reads exactly one JSON value.
pub fn from_slice<'h, T>(
    bytes: &[u8],
    mut cx: Reader<'h>,
    read: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::SliceRead<'_>>,
        &mut Reader<'h>,
    ) -> Result<T, serde_json::Error>,
) -> Result<(T, Reader<'h>), DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let outcome = read(&mut deserializer, &mut cx).and_then(|value| deserializer.end().map(|()| value));
    match outcome {
        Ok(value) => Ok((value, cx)),
        Err(error) => Err(cx.error.take().unwrap_or_else(|| syntax(&error).at_byte(offset(bytes, &error)))),
    }
}

/// The byte at which the syntax is wrong.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return bytes.len();
    }
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    // Lines and columns start at one.
    lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1)
}

/// A value of an unexpected type.
pub(super) fn wrong_type(expected: Expected, found: &str) -> DecodeError {
    DecodeError::new(DecodeErrorKind::WrongType, format!("expected {}, found {found}", expected.words()))
        .expecting(expected)
}

/// Translates an error of the format library.
fn syntax(error: &serde_json::Error) -> DecodeError {
    // The library has no category for it. If it changes its text, only this message gets less precise.
    if error.to_string().starts_with("number out of range") {
        let text = format!("number out of range at line {}, column {}", error.line(), error.column());
        return DecodeError::new(DecodeErrorKind::OutOfRange, text);
    }
    let text = if error.is_eof() {
        "unexpected end of JSON".to_owned()
    } else {
        format!("malformed JSON at line {}, column {}", error.line(), error.column())
    };
    DecodeError::new(DecodeErrorKind::Syntax, text)
}
