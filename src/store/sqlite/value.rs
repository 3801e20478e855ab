//! Values of parameters and columns.

use rusqlite::{
    Row,
    types::{ToSqlOutput, ValueRef},
};
use sea_orm::{DbErr, Value};
use uuid::Uuid;

use super::fault;
use crate::store::kind::{Columns, Kind};

impl Columns for Row<'_> {
    fn get(&self, kind: Kind, index: usize) -> Result<Value, DbErr> {
        read(kind, self.get_ref(index).map_err(fault::of_statement)?)
    }
}

/// The value of a column. One of another type is an error, and never NULL.
pub fn read(kind: Kind, raw: ValueRef<'_>) -> Result<Value, DbErr> {
    let wrong = || DbErr::Type(format!("a column of the type {kind:?} has a value of the type {}", raw.data_type()));
    Ok(match (kind, raw) {
        (Kind::Bool, ValueRef::Integer(value)) => Value::Bool(Some(value != 0)),
        (Kind::Int, ValueRef::Integer(value)) => Value::Int(Some(value.try_into().map_err(|_| wrong())?)),
        (Kind::BigInt, ValueRef::Integer(value)) => Value::BigInt(Some(value)),
        (Kind::Text, ValueRef::Text(text)) => {
            let text = std::str::from_utf8(text).map_err(|error| DbErr::Type(error.to_string()))?;
            Value::String(Some(text.to_owned()))
        }
        (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(Some(bytes.to_vec())),
        (Kind::Uuid, ValueRef::Blob(bytes)) => Value::Uuid(Some(Uuid::from_slice(bytes).map_err(|_| wrong())?)),
        (_, ValueRef::Null) => kind.null(),
        _ => return Err(wrong()),
    })
}

/// The column of a row at an index, whatever its type.
pub fn any(row: &Row<'_>, index: usize) -> Result<rusqlite::types::Value, DbErr> {
    let raw = row.get_ref(index).map_err(fault::of_statement)?;
    raw.try_into().map_err(|error: rusqlite::types::FromSqlError| DbErr::Type(error.to_string()))
}

/// A parameter of a statement.
pub(super) fn parameter(value: &Value) -> Result<ToSqlOutput<'_>, DbErr> {
    let integer = |value: Option<i64>| value.map_or(ValueRef::Null, ValueRef::Integer);
    let borrowed = match value {
        Value::Bool(value) => integer(value.map(i64::from)),
        Value::TinyInt(value) => integer(value.map(i64::from)),
        Value::SmallInt(value) => integer(value.map(i64::from)),
        Value::Int(value) => integer(value.map(i64::from)),
        Value::BigInt(value) => integer(*value),
        Value::TinyUnsigned(value) => integer(value.map(i64::from)),
        Value::SmallUnsigned(value) => integer(value.map(i64::from)),
        Value::Unsigned(value) => integer(value.map(i64::from)),
        Value::BigUnsigned(value) => {
            let value = value.map(<i64 as TryFrom<u64>>::try_from).transpose();
            integer(value.map_err(|_| DbErr::Type("a number does not fit into 64 bits with a sign".to_owned()))?)
        }
        Value::String(value) => value.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
        Value::Bytes(value) => value.as_ref().map_or(ValueRef::Null, |bytes| ValueRef::Blob(bytes)),
        Value::Uuid(value) => value.as_ref().map_or(ValueRef::Null, |id| ValueRef::Blob(id.as_bytes())),
        other => return Err(DbErr::Type(format!("parameters such as {other:?} are not supported"))),
    };
    Ok(ToSqlOutput::Borrowed(borrowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_an_error_and_not_null() {
        let values = [ValueRef::Integer(1), ValueRef::Text(b"a"), ValueRef::Blob(b"a"), ValueRef::Real(1.0)];
        for kind in [Kind::Bool, Kind::Int, Kind::BigInt, Kind::Text, Kind::Bytes, Kind::Uuid] {
            let fits = values.iter().filter(|value| read(kind, **value).is_ok()).count();
            assert_eq!(fits, usize::from(kind != Kind::Uuid), "{kind:?}");
            assert_eq!(read(kind, ValueRef::Null).unwrap(), kind.null());
        }
        assert!(read(Kind::Int, ValueRef::Integer(1 << 40)).is_err());
        assert!(read(Kind::Text, ValueRef::Text(b"\xff")).is_err());
        let id = Uuid::from_u128(7);
        assert_eq!(read(Kind::Uuid, ValueRef::Blob(id.as_bytes())).unwrap(), Value::from(id));
    }

    #[test]
    fn a_number_beyond_the_range_of_sqlite_is_refused() {
        assert!(parameter(&Value::from(u64::MAX)).is_err());
        assert!(parameter(&Value::from(7_u64)).is_ok());
    }
}
