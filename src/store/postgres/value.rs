//! Values of parameters and columns.

use std::{error::Error, fmt};

use bytes::{BufMut, BytesMut};
use sea_orm::{DbErr, Value};
use tokio_postgres::{
    Row,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};
use uuid::Uuid;

use crate::store::kind::{Columns, Kind};

type Cause = Box<dyn Error + Sync + Send>;

/// A parameter of a statement.
pub(super) struct Parameter<'a>(pub &'a Value);

/// The driver logs the parameters of a statement, which can be secrets.
impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Cause> {
        Ok(if write(self.0, out)?.is_some() { IsNull::No } else { IsNull::Yes })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The type of a parameter, as SeaORM's driver declares it.
pub(super) fn type_of(value: &Value) -> Result<Type, DbErr> {
    Ok(match value {
        Value::Bool(_) => Type::BOOL,
        Value::SmallInt(_) | Value::TinyUnsigned(_) => Type::INT2,
        Value::Int(_) | Value::SmallUnsigned(_) => Type::INT4,
        Value::BigInt(_) | Value::Unsigned(_) | Value::BigUnsigned(_) => Type::INT8,
        Value::String(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
        Value::Uuid(_) => Type::UUID,
        other => return Err(DbErr::Type(format!("parameters such as {other:?} are not supported"))),
    })
}

/// Writes a value in the form of its type; `None` for NULL.
fn write(value: &Value, out: &mut BytesMut) -> Result<Option<()>, Cause> {
    Ok(match value {
        Value::Bool(value) => value.map(|value| out.put_u8(value.into())),
        Value::SmallInt(value) => value.map(|value| out.put_i16(value)),
        Value::TinyUnsigned(value) => value.map(|value| out.put_i16(value.into())),
        Value::Int(value) => value.map(|value| out.put_i32(value)),
        Value::SmallUnsigned(value) => value.map(|value| out.put_i32(value.into())),
        Value::BigInt(value) => value.map(|value| out.put_i64(value)),
        Value::Unsigned(value) => value.map(|value| out.put_i64(value.into())),
        Value::BigUnsigned(value) => value.map(i64::try_from).transpose()?.map(|value| out.put_i64(value)),
        Value::String(value) => value.as_ref().map(|text| out.put_slice(text.as_bytes())),
        Value::Bytes(value) => value.as_ref().map(|bytes| out.put_slice(bytes)),
        Value::Uuid(value) => value.as_ref().map(|id| out.put_slice(id.as_bytes())),
        other => return Err(format!("parameters such as {other:?} are not supported").into()),
    })
}

impl Columns for Row {
    fn get(&self, kind: Kind, index: usize) -> Result<Value, DbErr> {
        let Raw(raw) = self.try_get(index).map_err(|error| DbErr::Type(error.to_string()))?;
        // There is a column: it was just read.
        let of = self.columns().get(index).map_or(&Type::UNKNOWN, |column| column.type_());
        read(kind, of, raw)
    }
}

/// The bytes of a column; `None` for NULL.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Cause> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Cause> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The value of a column. One of another type is an error, and never NULL.
fn read(kind: Kind, of: &Type, raw: Option<&[u8]>) -> Result<Value, DbErr> {
    let wrong = || DbErr::Type(format!("a column of the type {kind:?} has a value of the type {}", of.name()));
    let Some(raw) = raw else { return Ok(kind.null()) };
    Ok(match kind {
        Kind::Bool if *of == Type::BOOL => Value::Bool(Some(raw.first().is_some_and(|byte| *byte != 0))),
        Kind::Int => Value::Int(Some(integer(of, raw).and_then(|value| value.try_into().ok()).ok_or_else(wrong)?)),
        Kind::BigInt => Value::BigInt(Some(integer(of, raw).ok_or_else(wrong)?)),
        Kind::Text if matches!(*of, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN) => {
            let text = std::str::from_utf8(raw).map_err(|error| DbErr::Type(error.to_string()))?;
            Value::String(Some(text.to_owned()))
        }
        Kind::Bytes if *of == Type::BYTEA => Value::Bytes(Some(raw.to_vec())),
        Kind::Uuid if *of == Type::UUID => Value::Uuid(Some(Uuid::from_slice(raw).map_err(|_| wrong())?)),
        _ => return Err(wrong()),
    })
}

fn integer(of: &Type, raw: &[u8]) -> Option<i64> {
    match *of {
        Type::INT2 => raw.try_into().ok().map(|bytes| i16::from_be_bytes(bytes).into()),
        Type::INT4 => raw.try_into().ok().map(|bytes| i32::from_be_bytes(bytes).into()),
        Type::INT8 => raw.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_an_error_and_not_null() {
        let one = 1_i64.to_be_bytes();
        assert_eq!(read(Kind::BigInt, &Type::INT8, Some(&one)).unwrap(), Value::BigInt(Some(1)));
        assert_eq!(read(Kind::Int, &Type::INT8, Some(&one)).unwrap(), Value::Int(Some(1)));
        assert!(read(Kind::Int, &Type::INT8, Some(&i64::MAX.to_be_bytes())).is_err());
        assert!(read(Kind::BigInt, &Type::INT8, Some(&one[..3])).is_err());
        for (kind, of) in [
            (Kind::Bool, Type::INT8),
            (Kind::Int, Type::TEXT),
            (Kind::BigInt, Type::BOOL),
            (Kind::Text, Type::BYTEA),
            (Kind::Bytes, Type::TEXT),
            (Kind::Uuid, Type::BYTEA),
        ] {
            assert!(read(kind, &of, Some(&one)).is_err(), "{kind:?}");
            assert_eq!(read(kind, &of, None).unwrap(), kind.null());
        }
        assert!(read(Kind::Text, &Type::TEXT, Some(b"\xff")).is_err());
    }

    #[test]
    fn a_number_beyond_the_range_of_the_database_is_refused() {
        let mut out = BytesMut::new();
        assert!(write(&Value::from(u64::MAX), &mut out).is_err());
        assert!(out.is_empty());
        assert!(write(&Value::from(7_u64), &mut out).unwrap().is_some());
        assert_eq!(out[..], 7_i64.to_be_bytes());
    }

    #[test]
    fn the_text_of_a_parameter_does_not_have_its_value() {
        assert_eq!(format!("{:?}", Parameter(&Value::from("secret"))), "_");
    }
}
