//! Kinds of values: how each protobuf type reads and writes as JSON and as text.

use std::marker::PhantomData;

use serde::de::Deserializer;
use serde_json::Value;

use super::{
    fault::{Expected, Fault, FaultKind},
    message::{Enum, Message},
    read::{self, Reader},
    write::Writer,
};

/// One protobuf type. The generated code names a kind for each field.
pub trait Kind {
    /// The Rust type that prost gives it.
    type Rust: Default + PartialEq;

    /// JSON's null is one of its values. Elsewhere null stands for what is not set.
    const NULL_IS_A_VALUE: bool = false;

    /// Reads a JSON value into a slot that holds the default. Large messages do not travel through every function on
    /// the way, which keeps the stack of nested ones small.
    fn read<'de, D: Deserializer<'de>>(slot: &mut Self::Rust, value: D, cx: &mut Reader<'_>) -> Result<Met, D::Error>;

    /// Writes the value.
    fn write(value: &Self::Rust, out: &mut Writer<'_>);

    /// Whether the value is the one that is left out where defaults are.
    fn is_default(value: &Self::Rust) -> bool;

    /// Reads the text of a path variable, query value or map key. `lenient` reads booleans the lenient way.
    fn parse(text: &str, lenient: bool) -> Result<Self::Rust, Fault>;
}

/// What was met where a value was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// A value; the slot has it.
    Value,
    /// JSON's null.
    Null,
    /// An unknown name of an enum, where unknown names are ignored.
    Ignored,
}

/// A message of generated code.
#[derive(Debug)]
pub struct Msg<M>(PhantomData<M>);

impl<M: Message> Kind for Msg<M> {
    type Rust = M;

    fn read<'de, D: Deserializer<'de>>(slot: &mut M, value: D, cx: &mut Reader<'_>) -> Result<Met, D::Error> {
        read::message(slot, value, cx)
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

    const NULL_IS_A_VALUE: bool = K::NULL_IS_A_VALUE;

    fn read<'de, D: Deserializer<'de>>(slot: &mut Self::Rust, value: D, cx: &mut Reader<'_>) -> Result<Met, D::Error> {
        K::read(slot, value, cx)
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

    const NULL_IS_A_VALUE: bool = E::NULL.is_some();

    fn read<'de, D: Deserializer<'de>>(slot: &mut i32, value: D, cx: &mut Reader<'_>) -> Result<Met, D::Error> {
        use super::{read::Scalar, scalar::Int32};
        let number = match Scalar::read(Expected::Enum, value, cx)? {
            Scalar::Null => match E::NULL {
                Some(number) => Ok(number),
                None => return Ok(Met::Null),
            },
            Scalar::Text(name) => match E::number(&name) {
                Some(number) => Ok(number),
                None if cx.habits.ignore_unknown => return Ok(Met::Ignored),
                None => Err(unknown_name().given(|| Value::from(&*name))),
            },
            number => Int32::from_scalar(number).map_err(|fault| fault.expecting(Expected::Enum)),
        };
        *slot = number.map_err(|fault| cx.fail(fault))?;
        Ok(Met::Value)
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
    Fault::new(FaultKind::WrongType, "not a value of the enum").expecting(Expected::Enum)
}
