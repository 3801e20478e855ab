//! Rows of queries that no entity describes, by the names of their columns.

use rusqlite::types::{Value, ValueRef};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, QueryTrait, Select, Statement, TryGetable,
    sea_query::{SelectStatement, ValueType},
};

use super::{
    db::{Db, Target},
    decode::{self, Table, Tuple},
    fetch::{every, first},
};
use crate::store::sqlite::value::{Kind, any, column};

/// A row.
#[derive(Debug)]
pub struct Record(Form);

#[derive(Debug)]
enum Form {
    Orm(QueryResult),
    Sqlite(Vec<(String, Value)>),
}

impl Record {
    /// The column with a name.
    pub fn get<T: TryGetable + ValueType>(&self, name: &str) -> Result<T, DbErr> {
        let columns = match &self.0 {
            Form::Orm(row) => return row.try_get("", name),
            Form::Sqlite(columns) => columns,
        };
        let (_, value) = columns
            .iter()
            .find(|(column, _)| column == name)
            .ok_or_else(|| DbErr::Type(format!("a row has no column {name}")))?;
        let value = Kind::of::<T>()?.read(ValueRef::from(value))?;
        <T as ValueType>::try_from(value)
            .map_err(|_| DbErr::Type(format!("column {name} cannot be read as {}", T::type_name())))
    }
}

/// The rows of a query.
pub async fn records(db: &impl Db, query: &SelectStatement) -> Result<Vec<Record>, DbErr> {
    match db.target() {
        Target::Orm(orm) => Ok(orm.query_all(query).await?.into_iter().map(|row| Record(Form::Orm(row))).collect()),
        Target::Sqlite(sqlite) => {
            let statement = DbBackend::Sqlite.build(query);
            sqlite.read(move |on| every(on, &statement, record)).await
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
    match db.target() {
        Target::Orm(orm) => {
            let row = orm.query_one_raw(statement).await?;
            row.map(|row| T::try_get_many_by_index(&row)).transpose().map_err(DbErr::from)
        }
        Target::Sqlite(sqlite) => sqlite.read(move |on| first(on, &statement, T::read)).await,
    }
}

/// The rows of a query by their first columns. One that cannot be read does not fail the others.
pub async fn fetch_each<E: Table, K>(db: &impl Db, query: Select<E>) -> Result<Vec<(K, Result<E::Model, DbErr>)>, DbErr>
where
    K: TryGetable + ValueType + Send + 'static,
{
    match db.target() {
        Target::Orm(orm) => {
            let rows = orm.query_all(&query.into_query()).await?;
            rows.iter().map(|row| Ok((row.try_get_by_index(0)?, E::Model::from_query_result(row, "")))).collect()
        }
        Target::Sqlite(sqlite) => {
            let (statement, kinds) = (query.build(DbBackend::Sqlite), decode::kinds::<E>()?);
            let read = move |row: &rusqlite::Row<'_>| Ok((column(row, 0)?, decode::model::<E>(row, &kinds, 0)));
            sqlite.read(move |on| every(on, &statement, &read)).await
        }
    }
}
