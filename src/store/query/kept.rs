//! Texts of frequent statements, kept for SQLite. To build a statement takes longer than to run it: its parts are allocated one
//! by one, and most of them are the same each time.
//!
//! A development build also builds the statement each time and compares it, so the tests check every kept text.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use sea_orm::{ActiveModelTrait, DbBackend, DbErr, IntoActiveModel, Iterable, QueryTrait, Selector, Statement, Value};

use super::{
    db::{Db, Target},
    decode::{Decode, Table},
    exec::Exec,
    fetch::values as values_of,
};
use crate::store::sqlite::Connection;

/// The text of a query that has the same form each time.
#[derive(Debug, Default)]
pub struct Kept(OnceLock<String>);

impl Kept {
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The first row of a query. `values` are those of its parameters, in their order.
    pub async fn fetch_one<S: Decode + Send>(
        &'static self,
        db: &impl Db,
        values: Vec<Value>,
        query: impl FnOnce() -> Selector<S> + Send,
    ) -> Result<Option<S::Item>, DbErr> {
        let sqlite = match db.target() {
            Target::Orm(orm) => return query().one(&orm).await,
            Target::Sqlite(sqlite) => sqlite,
        };
        let sql = self.text(&values, query);
        let layout = S::layout()?;
        let read = move |on: &Connection| {
            let mut found = None;
            on.query(sql, &values, |row| {
                found = Some(S::decode(row, &layout)?);
                Ok(false)
            })?;
            Ok(found)
        };
        sqlite.read(read).await
    }

    fn text<S: Decode>(&'static self, values: &[Value], query: impl FnOnce() -> Selector<S>) -> &'static str {
        let build = || query().into_statement(DbBackend::Sqlite);
        if !cfg!(debug_assertions) {
            return self.0.get_or_init(|| build().sql);
        }
        let built = build();
        let sql = self.0.get_or_init(|| built.sql.clone());
        check(&built, sql, values);
        sql
    }
}

/// Inserts rows, with one statement. Returns their number.
pub async fn insert_rows<E>(db: &impl Db, rows: Vec<E::Model>) -> Result<u64, DbErr>
where
    E: Table,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    let sqlite = match db.target() {
        Target::Sqlite(sqlite) if !rows.is_empty() => sqlite,
        _ => return E::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model)).run(db).await,
    };
    // There is a row: without one, the match returns.
    let first = first_row::<E>(&rows[0]);
    let count = rows.len();
    let sql = many(&first, count);
    let expected = cfg!(debug_assertions)
        .then(|| E::insert_many(rows.iter().cloned().map(IntoActiveModel::into_active_model)).build(DbBackend::Sqlite));
    let mut values = Vec::with_capacity(count * 16);
    for row in rows {
        let mut row: E::ActiveModel = row.into_active_model();
        values.extend(E::Column::iter().filter_map(|column| row.take(column).into_value()));
    }
    if let Some(expected) = expected {
        check(&expected, &sql, &values);
    }
    sqlite.write(|on| on.execute(&sql, &values))
}

/// The insert of one row.
fn first_row<E>(row: &E::Model) -> Arc<str>
where
    E: Table,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    static TEXTS: Mutex<Option<HashMap<TypeId, Arc<str>>>> = Mutex::new(None);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = texts.get_or_insert_default();
    let build = || E::insert(row.clone().into_active_model()).build(DbBackend::Sqlite).sql.into();
    Arc::clone(texts.entry(TypeId::of::<E>()).or_insert_with(build))
}

/// The insert of several rows, from that of one.
fn many(one: &str, rows: usize) -> String {
    let row = one.rfind('(').map_or("", |at| &one[at..]);
    let mut sql = String::with_capacity(one.len() + (rows - 1) * (row.len() + 2));
    sql.push_str(one);
    for _ in 1..rows {
        sql.push_str(", ");
        sql.push_str(row);
    }
    sql
}

/// Panics if a kept statement is not the one that was built.
fn check(built: &Statement, sql: &str, values: &[Value]) {
    // The dialect leaves a space where it omits a lock.
    assert_eq!(built.sql.trim_end(), sql.trim_end(), "a kept statement has several forms");
    assert_eq!(values_of(built), values, "the values of a kept statement differ: {sql}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_insert_of_several_rows_repeats_the_row() {
        let one = "INSERT INTO t (a, b) VALUES (?, ?)";
        assert_eq!(many(one, 1), one);
        assert_eq!(many(one, 3), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?), (?, ?)");
    }
}
