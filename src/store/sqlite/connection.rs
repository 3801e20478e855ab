//! A connection that runs statements on the calling thread.

use std::{
    cell::Cell,
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use rusqlite::{CachedStatement, OpenFlags, Row, config::DbConfig};
use sea_orm::{DbErr, Value};

use super::{fault, value::parameter};
use crate::store::on_statement::OnStatement;

/// Number of prepared statements that a connection keeps.
const STATEMENTS: usize = 128;
/// Number of steps of SQLite's virtual machine after which the bound of a read is checked.
const STEPS: i32 = 1000;

thread_local! {
    /// The number of pages in the log after the last commit of this thread.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reads, with a page cache of this many KiB.
    Read {
        cache: i64,
    },
    Write,
}

/// A connection to an SQLite file in WAL mode.
pub struct Connection {
    raw: rusqlite::Connection,
    /// How many more times the running statement may take [`STEPS`] steps.
    left: Arc<AtomicI64>,
    on_statement: Option<OnStatement>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Opens an existing file. A statement that finds it locked by another process waits for `busy`, which blocks
    /// the thread.
    pub fn open(path: &Path, mode: Mode, busy: Duration, on_statement: Option<OnStatement>) -> Result<Self, DbErr> {
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let raw = open(path, mode, busy, Arc::clone(&left)).map_err(fault::of_opening)?;
        Ok(Self { raw, left, on_statement })
    }

    /// Bounds the following statements to this many steps each; `None` if one was stopped.
    pub fn bounded<T>(&self, steps: i64, work: impl FnOnce(&Self) -> Result<T, DbErr>) -> Option<Result<T, DbErr>> {
        self.left.store(steps / i64::from(STEPS), Ordering::Relaxed);
        let done = work(self);
        let stopped = self.left.swap(i64::MAX, Ordering::Relaxed) < 0 && done.is_err();
        (!stopped).then_some(done)
    }

    /// Runs a query and calls `each` with its rows, until it returns `false`.
    pub fn query(
        &self,
        sql: &str,
        values: &[Value],
        mut each: impl FnMut(&Row<'_>) -> Result<bool, DbErr>,
    ) -> Result<(), DbErr> {
        let mut prepared = self.prepare(sql, values)?;
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(fault::of_statement)? {
            if !each(row)? {
                break;
            }
        }
        Ok(())
    }

    /// Runs a statement that returns no rows. Returns the number of rows that it changed.
    pub fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DbErr> {
        let changed = self.prepare(sql, values)?.raw_execute().map_err(fault::of_statement)?;
        Ok(changed as u64)
    }

    /// Runs statements without parameters.
    pub fn execute_unprepared(&self, sql: &str) -> Result<(), DbErr> {
        self.raw.execute_batch(sql).map_err(fault::of_statement)
    }

    /// Runs a statement that controls a transaction. It is not reported.
    pub fn control(&self, sql: &str) -> Result<(), DbErr> {
        let mut prepared = self.raw.prepare_cached(sql).map_err(fault::of_statement)?;
        prepared.raw_execute().map(drop).map_err(fault::of_statement)
    }

    /// The number of pages in the log after the last commit, which must have been made on this thread.
    pub fn log_pages(&self) -> u32 {
        LOG_PAGES.get()
    }

    /// Whether a transaction was begun and has not ended.
    pub fn in_transaction(&self) -> bool {
        !self.raw.is_autocommit()
    }

    fn prepare(&self, sql: &str, values: &[Value]) -> Result<CachedStatement<'_>, DbErr> {
        if let Some(on_statement) = &self.on_statement {
            on_statement(sql);
        }
        let mut prepared = self.raw.prepare_cached(sql).map_err(fault::of_statement)?;
        if values.len() != prepared.parameter_count() {
            return Err(DbErr::Type("a statement has another number of parameters than values".to_owned()));
        }
        for (index, value) in values.iter().enumerate() {
            prepared.raw_bind_parameter(index + 1, parameter(value)?).map_err(fault::of_statement)?;
        }
        Ok(prepared)
    }
}

fn open(path: &Path, mode: Mode, busy: Duration, left: Arc<AtomicI64>) -> rusqlite::Result<rusqlite::Connection> {
    let access = match mode {
        Mode::Read { .. } => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Mode::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    // A connection is used by one thread at a time, which Rust checks.
    let raw = rusqlite::Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    raw.busy_timeout(busy)?;
    raw.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without it, a connection that does not know a new column yet takes its quoted name for a text.
    raw.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    match mode {
        Mode::Read { cache } => {
            raw.pragma_update(None, "cache_size", -cache)?;
            raw.progress_handler(STEPS, Some(move || left.fetch_sub(1, Ordering::Relaxed) <= 0))?;
        }
        Mode::Write => {
            raw.pragma_update(None, "foreign_keys", true)?;
            raw.pragma_update(None, "synchronous", "FULL")?;
            // Instead of SQLite's own hook, with which a commit that fills the log copies it.
            raw.wal_hook(Some(|_, pages| {
                LOG_PAGES.set(u32::try_from(pages).unwrap_or_default());
                Ok(())
            }));
        }
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_column_is_an_error_and_not_a_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let connection = Connection::open(&path, Mode::Read { cache: 256 }, Duration::ZERO, None).unwrap();
        assert!(connection.query("SELECT \"b\" FROM \"t\"", &[], |_| Ok(true)).is_err());
        // Another connection adds it.
        rusqlite::Connection::open(&path).unwrap().execute_batch("ALTER TABLE t ADD COLUMN b").unwrap();
        connection.query("SELECT \"b\" FROM \"t\"", &[], |_| Ok(true)).unwrap();
    }

    #[test]
    fn a_statement_with_too_few_values_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let connection = Connection::open(&path, Mode::Write, Duration::ZERO, None).unwrap();
        assert!(connection.execute("INSERT INTO t VALUES (?)", &[]).is_err());
        assert_eq!(connection.execute("INSERT INTO t VALUES (?)", &[1.into()]).unwrap(), 1);
    }
}
