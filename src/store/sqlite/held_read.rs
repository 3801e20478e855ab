//! A read transaction that is open between commits.
//!
//! A read takes a shared lock of the log and releases it. For the first connection of a process that takes it, and for the last
//! one that releases it, that is a system call each, during which the other connections wait. While this transaction is open,
//! other reads of the same state are neither the first nor the last. SQLite cannot reuse a log that is being read, so
//! the transaction ends before a commit, which may do that, and another one begins afterwards. While another process
//! writes, there is none: its commits could not reuse the log either.

use std::{
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sea_orm::DbErr;

use super::{Connection, Mode};
use crate::store::kind::column;

/// The smallest page cache: it reads one page.
const CACHE: i64 = 8;

/// A connection with an open read transaction. Reads are correct without it, so its failures are ignored.
pub struct HeldRead {
    /// `None` once it is closed.
    connection: Mutex<Option<Connection>>,
    /// SQLite's number of the state at the last [`refresh`](Self::refresh).
    state: AtomicI64,
}

impl HeldRead {
    pub fn open(path: &Path) -> Result<Self, DbErr> {
        let connection = Connection::open(path, Mode::Read { cache: CACHE }, Duration::ZERO, None)?;
        let held = Self { connection: Mutex::new(Some(connection)), state: AtomicI64::new(0) };
        held.begin();
        Ok(held)
    }

    /// Begins the transaction on the present state of the file.
    pub fn begin(&self) {
        if let Some(connection) = &*self.connection()
            && connection.control("BEGIN").is_ok()
        {
            let _ = connection.query("SELECT rootpage FROM sqlite_schema LIMIT 1", &[], |_| Ok(true));
        }
    }

    /// Ends the transaction.
    pub fn end(&self) {
        if let Some(connection) = self.connection().as_ref().filter(|connection| connection.in_transaction()) {
            let _ = connection.control("ROLLBACK");
        }
    }

    /// Begins the transaction anew if nothing was committed since the last call, and otherwise ends it.
    pub fn refresh(&self) {
        self.end();
        let mut state = 0;
        if let Some(connection) = &*self.connection() {
            let _ = connection.query("PRAGMA data_version", &[], |row| {
                state = column(row, 0)?;
                Ok(true)
            });
        }
        if self.state.swap(state, Ordering::Relaxed) == state {
            self.begin();
        }
    }

    pub fn close(&self) {
        self.connection().take();
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
