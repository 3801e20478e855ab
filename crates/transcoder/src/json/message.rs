//! What generated code implements for messages and enums.

use serde::de::Deserializer;

use super::Missing;
use super::{decode_error::DecodeError, options::Names, read::Reader, text::Text, write::Members};

/// A message. Implemented by generated code, with a line or two for each field.
pub trait Message: Default + PartialEq + Send + Sync + 'static {
    /// Full name.
    const NAME: &'static str;

    /// The fields, ordered by number.
    const FIELDS: &'static [Field];

    /// The index of a field by its name in either spelling.
    fn field(name: &str) -> Option<usize>;

    /// Reads the value of a field.
    fn read<'de, D: Deserializer<'de>>(&mut self, field: usize, value: D, cx: &mut Reader<'_>) -> Result<(), D::Error>;

    /// Writes a field, unless it is omitted.
    fn write(&self, field: usize, out: &mut Members<'_, '_>);

    /// Binds a query value or path variable to a field.
    fn bind(&mut self, field: usize, text: &mut Text<'_>) -> Result<(), DecodeError>;

    /// Notes the missing required fields, including those of messages that are set.
    fn missing(&self, _: &mut Missing) {}
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Proto name.
    pub proto: &'static str,
    /// JSON name.
    pub json: &'static str,
    /// The proto name as a JSON key: quoted, with its colon.
    pub proto_key: &'static str,
    /// The JSON name as a JSON key: quoted, with its colon.
    pub json_key: &'static str,
    /// Its value is a secret, which errors never repeat.
    pub secret: bool,
}

impl Field {
    /// Its name in the given spelling.
    pub fn name(&self, names: Names) -> &'static str {
        match names {
            Names::Json => self.json,
            Names::Proto => self.proto,
        }
    }
}

/// An enum. Implemented by generated code.
pub trait Enum {
    /// The value that JSON's null means; only `google.protobuf.NullValue` has one.
    const NULL: Option<i32> = None;

    /// The number of a name or alias.
    fn number(name: &str) -> Option<i32>;

    /// The name of a number.
    fn name(number: i32) -> Option<&'static str>;
}

impl Message for () {
    const NAME: &'static str = "google.protobuf.Empty";
    const FIELDS: &'static [Field] = &[];

    fn field(_: &str) -> Option<usize> {
        None
    }

    fn read<'de, D: Deserializer<'de>>(&mut self, _: usize, _: D, _: &mut Reader<'_>) -> Result<(), D::Error> {
        Ok(())
    }

    fn write(&self, _: usize, _: &mut Members<'_, '_>) {}

    fn bind(&mut self, _: usize, _: &mut Text<'_>) -> Result<(), DecodeError> {
        Ok(())
    }
}
