//! How the rows of a query are read, from each database.

use std::{borrow::Cow, marker::PhantomData};

use sea_orm::{DbErr, Statement, Value, sea_query::ValueType};

use super::{
    db::Target,
    decode::{Decode, Kinds, Table, Tuple, model},
};
use crate::store::{
    kind::{Columns, column},
    postgres::Keep,
    sqlite::Connection,
};

/// A statement with the values of its parameters.
pub(super) struct Text {
    pub sql: Cow<'static, str>,
    pub values: Vec<Value>,
}

impl From<Statement> for Text {
    fn from(statement: Statement) -> Self {
        let values = statement.values.map_or_else(Vec::new, |values| values.0);
        Self { sql: statement.sql.into(), values }
    }
}

/// Reads a row.
pub(super) trait ReadRow: Send + 'static {
    type Item: Send + 'static;

    fn read(&self, row: &impl Columns) -> Result<Self::Item, DbErr>;
}

/// Rows of a selector.
pub(super) struct Selected<S: Decode>(S::Layout);

impl<S: Decode> Selected<S> {
    pub fn new() -> Result<Self, DbErr> {
        Ok(Self(S::layout()?))
    }
}

impl<S: Decode + 'static> ReadRow for Selected<S> {
    type Item = S::Item;

    fn read(&self, row: &impl Columns) -> Result<S::Item, DbErr> {
        S::decode(row, &self.0)
    }
}

/// The first columns.
pub(super) struct First<T>(PhantomData<fn() -> T>);

impl<T> First<T> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Tuple> ReadRow for First<T> {
    type Item = T;

    fn read(&self, row: &impl Columns) -> Result<T, DbErr> {
        T::read(row)
    }
}

/// The first column, and the row or the reason why it cannot be read.
pub(super) struct Each<E, K>(Kinds, PhantomData<fn() -> (E, K)>);

impl<E, K> Each<E, K> {
    pub fn new(kinds: Kinds) -> Self {
        Self(kinds, PhantomData)
    }
}

impl<E: Table, K: ValueType + Send + 'static> ReadRow for Each<E, K> {
    type Item = (K, Result<E::Model, DbErr>);

    fn read(&self, row: &impl Columns) -> Result<Self::Item, DbErr> {
        Ok((column(row, 0)?, model::<E>(row, &self.0, 0)))
    }
}

/// The first row of a query.
pub(super) async fn first<R: ReadRow>(target: Target<'_>, text: Text, rows: R) -> Result<Option<R::Item>, DbErr> {
    match target {
        Target::Postgres(postgres) => {
            let found = postgres.query(text.sql, text.values, Keep::First).await?;
            found.first().map(|row| rows.read(row)).transpose()
        }
        Target::Sqlite(sqlite) => sqlite.read(move |on| first_of(on, &text, &rows)).await,
    }
}

/// All rows of a query.
pub(super) async fn every<R: ReadRow>(target: Target<'_>, text: Text, rows: R) -> Result<Vec<R::Item>, DbErr> {
    match target {
        Target::Postgres(postgres) => {
            let found = postgres.query(text.sql, text.values, Keep::All).await?;
            found.iter().map(|row| rows.read(row)).collect()
        }
        Target::Sqlite(sqlite) => sqlite.read(move |on| all_of(on, &text, &rows)).await,
    }
}

/// The rows that a change returns.
pub(super) async fn returned<R: ReadRow>(target: Target<'_>, text: Text, rows: R) -> Result<Vec<R::Item>, DbErr> {
    match target {
        Target::Postgres(_) => every(target, text, rows).await,
        Target::Sqlite(sqlite) => sqlite.write(|on| all_of(on, &text, &rows)),
    }
}

fn first_of<R: ReadRow>(on: &Connection, text: &Text, rows: &R) -> Result<Option<R::Item>, DbErr> {
    let mut found = None;
    on.query(&text.sql, &text.values, |row| {
        found = Some(rows.read(row)?);
        Ok(false)
    })?;
    Ok(found)
}

fn all_of<R: ReadRow>(on: &Connection, text: &Text, rows: &R) -> Result<Vec<R::Item>, DbErr> {
    let mut found = Vec::new();
    on.query(&text.sql, &text.values, |row| {
        found.push(rows.read(row)?);
        Ok(true)
    })?;
    Ok(found)
}
