//! Reading JSON into messages: the one generic visitor behind the generated code.

mod field;
mod members;
mod scalar;

use serde::de;

pub use field::{list, map, one, oneof, optional};
pub(crate) use members::find;
pub(super) use members::{message, of_members};
pub(super) use scalar::{Scalar, convert, parsed};

use super::{
    fault::{Expected, Fault, FaultKind, Step},
    habits::Habits,
};

/// The visits of JSON types that a visitor does not expect: each fails with "expected .., found ..".
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

/// The state of one reading. Faults are kept here, with their path, because the format library's errors have no room
/// for them.
#[derive(Debug)]
pub struct Reader<'h> {
    /// The habits of the surface.
    pub habits: &'h Habits,
    depth: u16,
    items: u32,
    fault: Option<Fault>,
    given: Option<Given>,
}

/// The members that were given, as paths in proto names.
#[derive(Debug, Default)]
struct Given {
    prefix: Vec<&'static str>,
    paths: Vec<String>,
}

impl<'h> Reader<'h> {
    /// A reading in the habits of a surface.
    pub fn new(habits: &'h Habits) -> Self {
        Self { habits, depth: 0, items: 0, fault: None, given: None }
    }

    /// Keeps note of the members that are given.
    pub fn noting_members(mut self) -> Self {
        self.given = Some(Given::default());
        self
    }

    /// The members that were given, as paths of a field mask.
    pub fn into_members(self) -> Vec<String> {
        self.given.map(|given| given.paths).unwrap_or_default()
    }

    /// Keeps a fault and makes the error that unwinds the format library.
    pub fn fail<E: de::Error>(&mut self, fault: Fault) -> E {
        self.fault.get_or_insert(fault);
        E::custom("fault")
    }

    /// Keeps the words for an error of the format library, where no fault is kept yet.
    pub(super) fn fail_with<E: de::Error>(&mut self, error: &serde_json::Error) -> E {
        self.fault.get_or_insert_with(|| syntax(error));
        E::custom("fault")
    }

    /// A value of another type than was expected.
    pub(super) fn wrong_type<E: de::Error>(&mut self, expected: Expected, found: &str) -> E {
        self.fail(wrong_type(expected, found))
    }

    pub(super) fn within(&mut self, step: Step<'_>) {
        self.fault = self.fault.take().map(|fault| fault.within(step));
    }

    /// The fault is in a field whose value is a secret.
    fn secret(&mut self) {
        self.fault = self.fault.take().map(Fault::secret);
    }

    /// Reads something one level deeper.
    pub(super) fn nested<T, E: de::Error>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.depth += 1;
        if self.depth > self.habits.max_depth {
            let text = format!("nested deeper than {} levels", self.habits.max_depth);
            return Err(self.fail(Fault::new(FaultKind::Depth, text)));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Counts an item of a list or an entry of a map.
    pub(super) fn count<E: de::Error>(&mut self) -> Result<(), E> {
        self.items += 1;
        if self.items > self.habits.max_items {
            let text = format!("more than {} items", self.habits.max_items);
            return Err(self.fail(Fault::new(FaultKind::Items, text)));
        }
        Ok(())
    }

    /// Reads something whose members are not noted: a mask stops before it.
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

/// Reads one JSON value, and nothing after it.
pub fn from_slice<'h, T>(
    bytes: &[u8],
    mut cx: Reader<'h>,
    read: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::SliceRead<'_>>,
        &mut Reader<'h>,
    ) -> Result<T, serde_json::Error>,
) -> Result<(T, Reader<'h>), Fault> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let outcome = read(&mut deserializer, &mut cx).and_then(|value| deserializer.end().map(|()| value));
    match outcome {
        Ok(value) => Ok((value, cx)),
        Err(error) => Err(cx.fault.take().unwrap_or_else(|| syntax(&error).at_byte(offset(bytes, &error)))),
    }
}

/// The byte at which the syntax breaks.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return bytes.len();
    }
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    // Lines and columns are counted from one.
    lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1)
}

/// A value of another type than was expected.
pub(super) fn wrong_type(expected: Expected, found: &str) -> Fault {
    Fault::new(FaultKind::WrongType, format!("expected {}, found {found}", expected.words())).expecting(expected)
}

/// Our words for what the format library found.
fn syntax(error: &serde_json::Error) -> Fault {
    // The library has no kind for it. Nothing else is lost if it should change its words.
    if error.to_string().starts_with("number out of range") {
        let text = format!("a number that no type can hold at line {}, column {}", error.line(), error.column());
        return Fault::new(FaultKind::OutOfRange, text);
    }
    let text = if error.is_eof() {
        "the JSON ends too early".to_owned()
    } else {
        format!("malformed JSON at line {}, column {}", error.line(), error.column())
    };
    Fault::new(FaultKind::Syntax, text)
}
