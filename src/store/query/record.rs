//! Rows of queries that no entity describes, by the names of their columns.

use rusqlite::types::{Value, ValueRef};
use sea_orm::{
    DbErr, QueryTrait, Select, Statement, TryGetable,
    sea_query::{SelectStatement, ValueType},
};

use super::{
    db::{Db, Target},
    decode::{self, Table, Tuple},
    rows::{Each, First, Text, every, first},
};
use crate::store::{
    kind::{Kind, column},
    postgres::{Keep, Row},
    sqlite::{
        Connection,
        value::{any, read},
    },
};

/// A row.
#[derive(Debug)]
pub struct Record(Form);

#[derive(Debug)]
enum Form {
    Postgres(Row),
    Sqlite(Vec<(String, Value)>),
}

impl Record {
    /// The column with a name.
    pub fn get<T: TryGetable + ValueType>(&self, name: &str) -> Result<T, DbErr> {
        let columns = match &self.0 {
            Form::Postgres(row) => {
                let index = row.columns().iter().position(|column| column.name() == name);
                return column(row, index.ok_or_else(|| missing(name))?);
            }
            Form::Sqlite(columns) => columns,
        };
        let (_, value) = columns.iter().find(|(column, _)| column == name).ok_or_else(|| missing(name))?;
        let value = read(Kind::of::<T>()?, ValueRef::from(value))?;
        <T as ValueType>::try_from(value)
            .map_err(|_| DbErr::Type(format!("column {name} cannot be read as {}", T::type_name())))
    }
}

fn missing(name: &str) -> DbErr {
    DbErr::Type(format!("a row has no column {name}"))
}

/// The rows of a query.
pub async fn records(db: &impl Db, query: &SelectStatement) -> Result<Vec<Record>, DbErr> {
    let Text { sql, values } = db.backend().build(query).into();
    match db.target() {
        Target::Postgres(postgres) => {
            let rows = postgres.query(sql, values, Keep::All).await?;
            Ok(rows.into_iter().map(|row| Record(Form::Postgres(row))).collect())
        }
        Target::Sqlite(sqlite) => {
            let read = move |on: &Connection| {
                let mut found = Vec::new();
                on.query(&sql, &values, |row| {
                    found.push(record(row)?);
                    Ok(true)
                })?;
                Ok(found)
            };
            sqlite.read(read).await
        }
    }
}

fn record(row: &rusqlite::Row<'_>) -> Result<Record, DbErr> {
    let named = |(index, name): (usize, &str)| Ok((name.to_owned(), any(row, index)?));
    let columns = row.as_ref().column_names().into_iter().enumerate().map(named).collect::<Result<_, DbErr>>()?;
    Ok(Record(Form::Sqlite(columns)))
}

/// The columns of the first row of a statement in the language of the database.
pub async fn fetch_raw<T: Tuple>(db: &impl Db, statement: Statement) -> Result<Option<T>, DbErr> {
    first(db.target(), statement.into(), First::new()).await
}

/// The rows of a query by their first columns. One that cannot be read does not fail the others.
pub async fn fetch_each<E: Table, K>(db: &impl Db, query: Select<E>) -> Result<Vec<(K, Result<E::Model, DbErr>)>, DbErr>
where
    K: TryGetable + ValueType + Send + 'static,
{
    every(db.target(), query.build(db.backend()).into(), Each::<E, K>::new(decode::kinds::<E>()?)).await
}
