//! Runs SeaORM's queries on a connection of the store.
//!
//! The methods are those of SeaORM (`one`, `all`, `count`), which cannot run on a connection that is not SeaORM's: its
//! rows can only be made by its drivers.

use sea_orm::{
    DbBackend, DbErr, PaginatorTrait, QuerySelect, QueryTrait, Select, SelectModel, Selector, Statement, Value,
    sea_query::{Expr, Query},
};

use super::{
    db::{Db, Sqlite, Target},
    decode::{Decode, Table},
};
use crate::store::sqlite::{Connection, value};

/// Queries for rows.
pub trait Fetch: Sized + Send {
    type Item: Send;

    /// The first row.
    fn fetch_one(self, db: &impl Db) -> impl Future<Output = Result<Option<Self::Item>, DbErr>> + Send;

    /// All rows.
    fn fetch_all(self, db: &impl Db) -> impl Future<Output = Result<Vec<Self::Item>, DbErr>> + Send;
}

/// Queries whose rows can be counted.
pub trait Count: Sized + Send {
    /// The number of rows.
    fn fetch_count(self, db: &impl Db) -> impl Future<Output = Result<u64, DbErr>> + Send;
}

impl<E: Table> Fetch for Select<E> {
    type Item = E::Model;

    async fn fetch_one(self, db: &impl Db) -> Result<Option<E::Model>, DbErr> {
        match db.target() {
            Target::Orm(orm) => self.one(&orm).await,
            Target::Sqlite(sqlite) => {
                one::<SelectModel<E::Model>>(sqlite, self.limit(1).build(DbBackend::Sqlite)).await
            }
        }
    }

    async fn fetch_all(self, db: &impl Db) -> Result<Vec<E::Model>, DbErr> {
        match db.target() {
            Target::Orm(orm) => self.all(&orm).await,
            Target::Sqlite(sqlite) => all::<SelectModel<E::Model>>(sqlite, self.build(DbBackend::Sqlite)).await,
        }
    }
}

/// [`Fetch::fetch_one`] reads the first row, but cannot set a limit: say `limit(1)` before `into_tuple` or `into_model` if the
/// rows are sorted without an index.
impl<S: Decode + Send> Fetch for Selector<S> {
    type Item = S::Item;

    async fn fetch_one(self, db: &impl Db) -> Result<Option<S::Item>, DbErr> {
        match db.target() {
            Target::Orm(orm) => self.one(&orm).await,
            Target::Sqlite(sqlite) => one::<S>(sqlite, self.into_statement(DbBackend::Sqlite)).await,
        }
    }

    async fn fetch_all(self, db: &impl Db) -> Result<Vec<S::Item>, DbErr> {
        match db.target() {
            Target::Orm(orm) => self.all(&orm).await,
            Target::Sqlite(sqlite) => all::<S>(sqlite, self.into_statement(DbBackend::Sqlite)).await,
        }
    }
}

impl<E: Table> Count for Select<E> {
    async fn fetch_count(self, db: &impl Db) -> Result<u64, DbErr> {
        match db.target() {
            Target::Orm(orm) => self.count(&orm).await,
            Target::Sqlite(sqlite) => {
                let rows = self.into_query().clear_order_by().to_owned();
                let count = Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(rows, "sub_query").to_owned();
                let statement = DbBackend::Sqlite.build(&count);
                let read = move |on: &Connection| first(on, &statement, |row| value::column::<i64>(row, 0));
                // A count is not negative.
                Ok(sqlite.read(read).await?.map_or(0, i64::unsigned_abs))
            }
        }
    }
}

async fn one<S: Decode>(sqlite: Sqlite<'_>, statement: Statement) -> Result<Option<S::Item>, DbErr> {
    let layout = S::layout()?;
    sqlite.read(move |on| first(on, &statement, |row| S::decode(row, &layout))).await
}

async fn all<S: Decode>(sqlite: Sqlite<'_>, statement: Statement) -> Result<Vec<S::Item>, DbErr> {
    let layout = S::layout()?;
    sqlite.read(move |on| every(on, &statement, |row| S::decode(row, &layout))).await
}

/// The first row.
pub(super) fn first<T>(
    on: &Connection,
    statement: &Statement,
    decode: impl Fn(&rusqlite::Row<'_>) -> Result<T, DbErr>,
) -> Result<Option<T>, DbErr> {
    let mut found = None;
    on.query(&statement.sql, values(statement), |row| {
        found = Some(decode(row)?);
        Ok(false)
    })?;
    Ok(found)
}

/// All rows.
pub(super) fn every<T>(
    on: &Connection,
    statement: &Statement,
    decode: impl Fn(&rusqlite::Row<'_>) -> Result<T, DbErr>,
) -> Result<Vec<T>, DbErr> {
    let mut found = Vec::new();
    on.query(&statement.sql, values(statement), |row| {
        found.push(decode(row)?);
        Ok(true)
    })?;
    Ok(found)
}

/// The values of a statement's parameters.
pub(super) fn values(statement: &Statement) -> &[Value] {
    statement.values.as_ref().map_or(&[], |values| &values.0)
}
