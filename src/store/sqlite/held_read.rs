//! A read transaction that is open between commits.
//!
//! A read takes a shared lock of the log and releases it. For the first connection of a process that takes it, and for the last
//! one that releases it, that is a system call each, during which the other connections wait. While this transaction is open,
//! other reads of the same state are neither the first nor the last. SQLite cannot reuse a log that is being read, so
//! the transaction ends before a commit, which may do that, and another one begins afterwards.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::DbErr;

use super::{Connection, Mode};

/// The smallest page cache: it reads one page.
const CACHE: i64 = 8;

/// A connection with an open read transaction. Reads are correct without it, so its failures are ignored.
pub struct HeldRead(Mutex<Option<Connection>>);

impl HeldRead {
    pub fn open(path: &Path) -> Result<Self, DbErr> {
        let held = Self(Mutex::new(Some(Connection::open(path, Mode::Read { cache: CACHE }, Duration::ZERO, None)?)));
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

    pub fn close(&self) {
        self.connection().take();
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
