//! Texts of frequent statements, kept for each database. To build a statement takes longer than to run it on SQLite: its parts are
//! allocated one by one, and most of them are the same each time.
//!
//! A development build also builds the statement each time and compares it, so the tests check every kept text.

use std::{
    any::TypeId,
    borrow::Cow,
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use sea_orm::{ActiveModelTrait, DbBackend, DbErr, IntoActiveModel, Iterable, QueryTrait, Selector, Statement, Value};

use super::{
    db::Db,
    decode::{Decode, Table},
    exec::{change, submit_text},
    fetch::values as values_of,
    rows::{Selected, Text, first},
};

/// The text of a query that has the same form each time.
#[derive(Debug, Default)]
pub struct Kept {
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Kept {
    pub const fn new() -> Self {
        Self { sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    /// The first row of a query. `values` are those of its parameters, in their order.
    pub async fn fetch_one<S: Decode + Send + 'static>(
        &'static self,
        db: &impl Db,
        values: Vec<Value>,
        query: impl FnOnce() -> Selector<S> + Send,
    ) -> Result<Option<S::Item>, DbErr> {
        let sql = self.text(db.backend(), &values, query);
        first(db.target(), Text { sql: Cow::Borrowed(sql), values }, Selected::<S>::new()?).await
    }

    fn text<S: Decode>(
        &'static self,
        backend: DbBackend,
        values: &[Value],
        query: impl FnOnce() -> Selector<S>,
    ) -> &'static str {
        let kept = if backend == DbBackend::Postgres { &self.postgres } else { &self.sqlite };
        let build = || query().into_statement(backend);
        if !cfg!(debug_assertions) {
            return kept.get_or_init(|| build().sql);
        }
        let built = build();
        let sql = kept.get_or_init(|| built.sql.clone());
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
    match insert::<E>(db.backend(), rows) {
        Some(insert) => change(db, insert).await,
        None => Ok(0),
    }
}

/// As [`insert_rows`], but nothing waits for the result ([`submit`](super::submit)).
pub async fn submit_rows<E>(db: &impl Db, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: Table,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    match insert::<E>(db.backend(), rows) {
        Some(insert) => submit_text(db, insert).await,
        None => Ok(()),
    }
}

/// The insert of rows, if there are any.
fn insert<E>(backend: DbBackend, rows: Vec<E::Model>) -> Option<Text>
where
    E: Table,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    let one = first_row::<E>(backend, rows.first()?);
    let count = rows.len();
    let sql = many(&one, count);
    let expected = cfg!(debug_assertions)
        .then(|| E::insert_many(rows.iter().cloned().map(IntoActiveModel::into_active_model)).build(backend));
    let mut values = Vec::with_capacity(count * 16);
    for row in rows {
        let mut row: E::ActiveModel = row.into_active_model();
        values.extend(E::Column::iter().filter_map(|column| row.take(column).into_value()));
    }
    if let Some(expected) = expected {
        check(&expected, &sql, &values);
    }
    Some(Text { sql: sql.into(), values })
}

/// The inserts of one row, by the entity, and whether they are those of PostgreSQL.
type Inserts = HashMap<(TypeId, bool), Arc<str>>;

/// The insert of one row.
fn first_row<E>(backend: DbBackend, row: &E::Model) -> Arc<str>
where
    E: Table,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    static TEXTS: Mutex<Option<Inserts>> = Mutex::new(None);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = texts.get_or_insert_default();
    let build = || E::insert(row.clone().into_active_model()).build(backend).sql.into();
    let key = (TypeId::of::<E>(), backend == DbBackend::Postgres);
    Arc::clone(texts.entry(key).or_insert_with(build))
}

/// The insert of several rows, from that of one. Parameters with numbers continue from row to row.
fn many(one: &str, rows: usize) -> String {
    let row = one.rfind('(').map_or("", |at| &one[at..]);
    let mut sql = String::with_capacity(one.len() + (rows - 1) * (2 * row.len() + 2));
    sql.push_str(one);
    let columns = row.matches('$').count();
    for number in 1..rows {
        sql.push_str(", ");
        if columns == 0 {
            sql.push_str(row);
            continue;
        }
        sql.push('(');
        for column in 1..=columns {
            let comma = if column == 1 { "" } else { ", " };
            // Writing to a text does not fail.
            let _ = write!(sql, "{comma}${}", number * columns + column);
        }
        sql.push(')');
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
        let numbered = "INSERT INTO t (a, b) VALUES ($1, $2)";
        assert_eq!(many(numbered, 3), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4), ($5, $6)");
    }
}
