//! Kinds of values: how each protobuf type reads and writes as JSON and as text.

use std::marker::PhantomData;

use serde::de::Deserializer;

use super::{
    fault::{Fault, FaultKind},
    message::{Enum, Message},
    read::{self, Reader},
    write::Writer,
};

/// One protobuf type. The generated code names a kind for each field.
pub trait Kind {
    /// The Rust type that prost gives it.
    type Rust: Default;

    /// Reads a JSON value.
    fn read<'de, D: Deserializer<'de>>(value: D, cx: &mut Reader<'_>) -> Result<Met<Self::Rust>, D::Error>;

    /// Writes the value.
    fn write(value: &Self::Rust, out: &mut Writer<'_>);

    /// Whether the value is the one that is left out where defaults are.
    fn is_default(value: &Self::Rust) -> bool;

    /// Reads the text of a path variable, query value or map key. `lenient` reads booleans the lenient way.
    fn parse(text: &str, lenient: bool) -> Result<Self::Rust, Fault>;
}

/// What was met where a value was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met<T> {
    /// A value.
    Value(T),
    /// JSON's null.
    Null,
    /// An unknown name of an enum, where unknown names are ignored.
    Ignored,
}

impl<T> Met<T> {
    /// The value, if one was met.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Null | Self::Ignored => None,
        }
    }

    /// Turns the value into another, or fails.
    pub(super) fn try_map<U, E>(self, turn: impl FnOnce(T) -> Result<U, E>) -> Result<Met<U>, E> {
        Ok(match self {
            Self::Value(value) => Met::Value(turn(value)?),
            Self::Null => Met::Null,
            Self::Ignored => Met::Ignored,
        })
    }
}

/// A message of generated code.
#[derive(Debug)]
pub struct Msg<M>(PhantomData<M>);

impl<M: Message> Kind for Msg<M> {
    type Rust = M;

    fn read<'de, D: Deserializer<'de>>(value: D, cx: &mut Reader<'_>) -> Result<Met<M>, D::Error> {
        read::message(value, cx)
    }

    fn write(value: &M, out: &mut Writer<'_>) {
        out.message(value);
    }

    fn is_default(_: &M) -> bool {
        false
    }

    fn parse(_: &str, _: bool) -> Result<M, Fault> {
        Err(Fault::new(FaultKind::WrongType, "a message is given by its fields"))
    }
}

/// A kind whose value prost keeps in a box, because messages nest in themselves.
#[derive(Debug)]
pub struct Boxed<K>(PhantomData<K>);

impl<K: Kind> Kind for Boxed<K> {
    type Rust = Box<K::Rust>;

    fn read<'de, D: Deserializer<'de>>(value: D, cx: &mut Reader<'_>) -> Result<Met<Self::Rust>, D::Error> {
        K::read(value, cx)?.try_map(|value| Ok(Box::new(value)))
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        K::write(value, out);
    }

    fn is_default(value: &Self::Rust) -> bool {
        K::is_default(value)
    }

    fn parse(text: &str, lenient: bool) -> Result<Self::Rust, Fault> {
        K::parse(text, lenient).map(Box::new)
    }
}

/// An enum of generated code. Unknown numbers are kept.
#[derive(Debug)]
pub struct EnumOf<E>(PhantomData<E>);

impl<E: Enum> Kind for EnumOf<E> {
    type Rust = i32;

    fn read<'de, D: Deserializer<'de>>(value: D, cx: &mut Reader<'_>) -> Result<Met<i32>, D::Error> {
        use super::scalar::{Int32, Scalar};
        match Scalar::read("a name or number of the enum", value, cx)? {
            Scalar::Null => Ok(E::NULL.map_or(Met::Null, Met::Value)),
            Scalar::Text(name) => match E::number(&name) {
                Some(number) => Ok(Met::Value(number)),
                None if cx.habits.ignore_unknown => Ok(Met::Ignored),
                None => Err(cx.fail(unknown_name())),
            },
            number => Int32::from_scalar(number).map(Met::Value).map_err(|fault| cx.fail(fault)),
        }
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

    fn parse(text: &str, _: bool) -> Result<i32, Fault> {
        E::number(text).or_else(|| text.parse().ok()).ok_or_else(unknown_name)
    }
}

fn unknown_name() -> Fault {
    Fault::new(FaultKind::WrongType, "not a value of the enum")
}
