//! The types of columns, by which rows are read.

use sea_orm::{
    DbErr, Value,
    sea_query::{ArrayType, ColumnType, ValueType},
};

/// The types of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    BigInt,
    Text,
    Bytes,
    /// On SQLite as 16 bytes.
    Uuid,
}

impl Kind {
    /// The kind of a table's column.
    pub fn of_column(column: &ColumnType) -> Result<Self, DbErr> {
        Ok(match column {
            ColumnType::Boolean => Self::Bool,
            ColumnType::Integer => Self::Int,
            ColumnType::BigInteger => Self::BigInt,
            ColumnType::Char(_) | ColumnType::String(_) | ColumnType::Text => Self::Text,
            ColumnType::Binary(_) | ColumnType::VarBinary(_) | ColumnType::Blob => Self::Bytes,
            ColumnType::Uuid => Self::Uuid,
            other => return Err(DbErr::Type(format!("columns of the type {other:?} cannot be read"))),
        })
    }

    /// The kind from which a type is converted.
    pub fn of<T: ValueType>() -> Result<Self, DbErr> {
        Ok(match T::array_type() {
            ArrayType::Bool => Self::Bool,
            ArrayType::Int => Self::Int,
            ArrayType::BigInt => Self::BigInt,
            ArrayType::String => Self::Text,
            ArrayType::Bytes => Self::Bytes,
            ArrayType::Uuid => Self::Uuid,
            other => return Err(DbErr::Type(format!("values of the type {other:?} cannot be read"))),
        })
    }

    /// NULL in a column of this kind.
    pub fn null(self) -> Value {
        match self {
            Self::Bool => Value::Bool(None),
            Self::Int => Value::Int(None),
            Self::BigInt => Value::BigInt(None),
            Self::Text => Value::String(None),
            Self::Bytes => Value::Bytes(None),
            Self::Uuid => Value::Uuid(None),
        }
    }
}

/// A row whose columns are read by position.
pub trait Columns {
    /// The column at an index. A value of another type is an error, and never NULL.
    fn get(&self, kind: Kind, index: usize) -> Result<Value, DbErr>;
}

/// The column of a row at an index, as this type.
pub fn column<T: ValueType>(row: &impl Columns, index: usize) -> Result<T, DbErr> {
    let value = row.get(Kind::of::<T>()?, index)?;
    <T as ValueType>::try_from(value)
        .map_err(|_| DbErr::Type(format!("column {index} cannot be read as {}", T::type_name())))
}
