//! Kinds of values: how each protobuf type is read and written as JSON and as text.

use std::marker::PhantomData;

use serde::de::Deserializer;
use serde_json::Value;

use super::{
    decode_error::{DecodeError, DecodeErrorKind, Expected},
    message::{Enum, Message},
    read::{self, Reader},
    write::Writer,
};

/// One protobuf type. The generated code names a kind for each field.
pub trait Kind {
    /// Its Rust type in prost.
    type Rust: Default + PartialEq;

    /// JSON's null is one of its values. For other kinds null means unset.
    const NULL_IS_A_VALUE: bool = false;

    /// Reads a JSON value into a slot that holds the default. Filling the slot in place, instead of returning large
    /// messages through every function, keeps the stack of nested messages small.
    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error>;

    /// Writes the value.
    fn write(value: &Self::Rust, out: &mut Writer<'_>);

    /// Whether the value is the default.
    fn is_default(value: &Self::Rust) -> bool;

    /// Parses a path variable, query value or map key. `lenient` parses booleans leniently.
    fn parse(text: &str, lenient: bool) -> Result<Self::Rust, DecodeError>;
}

/// What was read in place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// A value, stored in the slot.
    Value,
    /// JSON's null.
    Null,
    /// An unknown enum name, where unknown names are ignored.
    Ignored,
}

/// A generated message.
#[derive(Debug)]
pub struct Msg<M>(PhantomData<M>);

impl<M: Message> Kind for Msg<M> {
    type Rust = M;

    fn read<'de, D: Deserializer<'de>>(slot: &mut M, value: D, cx: &mut Reader<'_>) -> Result<ReadOutcome, D::Error> {
        read::message(slot, value, cx)
    }

    fn write(value: &M, out: &mut Writer<'_>) {
        out.message(value);
    }

    fn is_default(_: &M) -> bool {
        false
    }

    fn parse(_: &str, _: bool) -> Result<M, DecodeError> {
        Err(DecodeError::new(DecodeErrorKind::WrongType, "a message has no single value; name one of its fields"))
    }
}

/// A kind whose value prost boxes, because the message is recursive.
#[derive(Debug)]
pub struct Boxed<K>(PhantomData<K>);

impl<K: Kind> Kind for Boxed<K> {
    type Rust = Box<K::Rust>;

    const NULL_IS_A_VALUE: bool = K::NULL_IS_A_VALUE;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        K::read(slot, value, cx)
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        K::write(value, out);
    }

    fn is_default(value: &Self::Rust) -> bool {
        K::is_default(value)
    }

    fn parse(text: &str, lenient: bool) -> Result<Self::Rust, DecodeError> {
        K::parse(text, lenient).map(Box::new)
    }
}

/// A generated enum. Unknown numbers are kept.
#[derive(Debug)]
pub struct EnumOf<E>(PhantomData<E>);

impl<E: Enum> Kind for EnumOf<E> {
    type Rust = i32;

    const NULL_IS_A_VALUE: bool = E::NULL.is_some();

    fn read<'de, D: Deserializer<'de>>(slot: &mut i32, value: D, cx: &mut Reader<'_>) -> Result<ReadOutcome, D::Error> {
        use super::{read::Scalar, scalar::Int32};
        let number = match Scalar::read(Expected::Enum, value, cx)? {
            Scalar::Null => match E::NULL {
                Some(number) => Ok(number),
                None => return Ok(ReadOutcome::Null),
            },
            Scalar::Text(name) => match E::number(&name) {
                Some(number) => Ok(number),
                None if cx.options.ignore_unknown => return Ok(ReadOutcome::Ignored),
                None => Err(unknown_name().with_input(|| Value::from(&*name))),
            },
            number => Int32::from_scalar(number).map_err(|error| error.expecting(Expected::Enum)),
        };
        *slot = number.map_err(|error| cx.fail(error))?;
        Ok(ReadOutcome::Value)
    }

    fn write(value: &i32, out: &mut Writer<'_>) {
        match E::name(*value) {
            Some(_) if E::NULL.is_some() => out.raw("null"),
            Some(name) => out.string(name),
            None => out.integer(*value),
        }
    }

    fn is_default(value: &i32) -> bool {
        *value == 0
    }

    fn parse(text: &str, _: bool) -> Result<i32, DecodeError> {
        E::number(text).or_else(|| text.parse().ok()).ok_or_else(unknown_name)
    }
}

fn unknown_name() -> DecodeError {
    DecodeError::new(DecodeErrorKind::WrongType, "not a value of the enum").expecting(Expected::Enum)
}
