//! The connection for writes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

use super::{
    Connection, DatabaseFile, Mode,
    checkpoint::{self, Checkpoints, Marks},
    held_read::HeldRead,
};
use crate::store::on_statement::OnStatement;

/// The connection for writes. Cheap to clone. Its statements run in the transaction that the writer began, and may block
/// their thread.
#[derive(Clone)]
pub struct Writing(Arc<Inner>);

struct Inner {
    file: DatabaseFile,
    /// How long a transaction waits for another process that writes.
    busy: Duration,
    on_statement: Option<OnStatement>,
    /// `None` once it is closed.
    connection: Mutex<Option<Connection>>,
    held: HeldRead,
    checkpoints: Checkpoints,
}

impl Writing {
    pub fn open(file: DatabaseFile, busy: Duration, on_statement: Option<OnStatement>) -> Result<Self, DbErr> {
        Self::marked(file, busy, on_statement, Marks::default())
    }

    fn marked(
        file: DatabaseFile,
        busy: Duration,
        on_statement: Option<OnStatement>,
        marks: Marks,
    ) -> Result<Self, DbErr> {
        let connection = Mutex::new(Some(Connection::open(file.path(), Mode::Write, busy, on_statement.clone())?));
        let held = HeldRead::open(file.path())?;
        let checkpoints = Checkpoints::start(file.path().to_owned(), busy, marks).map_err(not_started)?;
        Ok(Self(Arc::new(Inner { file, busy, on_statement, connection, held, checkpoints })))
    }

    /// Call it while nothing is written: has a long log copied into the file, and ends the open read transaction while other
    /// processes write, so that it does not keep them from reusing the log.
    pub fn refresh(&self) {
        self.0.held.refresh();
        self.0.checkpoints.idle();
    }

    /// Begins a transaction. If a failure left one open that cannot be rolled back, the connection is opened again. Fails if
    /// the file was replaced: the changes would be lost.
    pub fn begin(&self) -> Result<(), DbErr> {
        self.0.file.check()?;
        let mut connection = self.connection();
        let connection = connection.as_mut().ok_or_else(closed)?;
        if rolled_back(connection).is_err() || connection.in_transaction() {
            let Inner { file, busy, on_statement, .. } = &*self.0;
            *connection = Connection::open(file.path(), Mode::Write, *busy, on_statement.clone())?;
        }
        connection.control("BEGIN IMMEDIATE")
    }

    /// Commits the transaction. If that fails, it is rolled back.
    pub fn commit(&self) -> Result<(), DbErr> {
        let connection = self.connection();
        let connection = connection.as_ref().ok_or_else(closed)?;
        self.0.held.end();
        let committed = connection.control("COMMIT");
        self.0.held.begin();
        if committed.is_err() {
            // A transaction that is still open is noticed when the next one begins.
            let _ = rolled_back(connection);
        }
        committed
    }

    /// Call it after each commit, on its thread: the log is copied into the file once it is long. Nobody has to wait for that who
    /// waited for the commit.
    pub fn committed(&self) {
        if let Some(connection) = &*self.connection() {
            let Inner { held, checkpoints, .. } = &*self.0;
            checkpoints.committed(connection.log_pages(), || {
                held.end();
                let copied = checkpoint::copy(connection);
                held.begin();
                copied
            });
        }
    }

    /// Rolls the transaction back, unless SQLite did, as when the disk is full.
    pub fn rollback(&self) -> Result<(), DbErr> {
        self.connection().as_ref().map_or(Ok(()), rolled_back)
    }

    /// Begins a part of the transaction that can be rolled back alone. Parts are not nested.
    pub fn begin_part(&self) -> Result<(), DbErr> {
        self.run(|connection| connection.control("SAVEPOINT part"))
    }

    pub fn keep_part(&self) -> Result<(), DbErr> {
        self.run(|connection| connection.control("RELEASE part"))
    }

    pub fn undo_part(&self) -> Result<(), DbErr> {
        self.run(|connection| {
            connection.control("ROLLBACK TO part")?;
            connection.control("RELEASE part")
        })
    }

    /// Runs statements of the transaction. Fails if SQLite has ended it: they would be committed one by one.
    pub fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T, DbErr>) -> Result<T, DbErr> {
        let connection = self.connection();
        let connection = connection.as_ref().ok_or_else(closed)?;
        if !connection.in_transaction() {
            return Err(DbErr::Conn(RuntimeErr::Internal("SQLite has ended the transaction".to_owned())));
        }
        work(connection)
    }

    pub fn close(&self) {
        self.0.held.close();
        self.0.checkpoints.close();
        self.connection().take();
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
}

fn not_started(error: std::io::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("a thread cannot be started: {error}")))
}

fn rolled_back(connection: &Connection) -> Result<(), DbErr> {
    if connection.in_transaction() { connection.control("ROLLBACK") } else { Ok(()) }
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writing")
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::Value;

    use super::*;

    fn fresh() -> (tempfile::TempDir, Writing) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.db");
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a)")
            .unwrap();
        let marks = Marks { pass: 100, reuse: 1_000, few: 30, over: 1_000 };
        let file = DatabaseFile::new(path).unwrap();
        let writing = Writing::marked(file, Duration::from_secs(1), None, marks).unwrap();
        (dir, writing)
    }

    fn insert(writing: &Writing, value: i64) -> Result<u64, DbErr> {
        writing.run(|connection| connection.execute("INSERT INTO t VALUES (?)", &[Value::from(value)]))
    }

    fn count(writing: &Writing) -> i64 {
        writing.begin().unwrap();
        let mut count = 0;
        let counting = |connection: &Connection| {
            connection.query("SELECT count(*) FROM t", &[], |row| {
                count = crate::store::kind::column(row, 0)?;
                Ok(true)
            })
        };
        writing.run(counting).unwrap();
        writing.rollback().unwrap();
        count
    }

    #[test]
    fn a_part_is_rolled_back_alone() {
        let (_dir, writing) = fresh();
        writing.begin().unwrap();
        for (value, kept) in [(1, true), (2, false), (3, true)] {
            writing.begin_part().unwrap();
            assert_eq!(insert(&writing, value).unwrap(), 1);
            if kept { writing.keep_part().unwrap() } else { writing.undo_part().unwrap() }
        }
        writing.commit().unwrap();
        assert_eq!(count(&writing), 2);
    }

    #[test]
    fn the_log_is_reused_after_changes_of_this_process_and_of_others() {
        let (dir, writing) = fresh();
        let log = dir.path().join("test.db-wal");
        let other = rusqlite::Connection::open(dir.path().join("test.db")).unwrap();
        let size = || std::fs::metadata(&log).unwrap().len() >> 20;
        let large = [Value::from("x".repeat(1 << 20))];
        for _ in 0..40 {
            writing.begin().unwrap();
            writing.run(|connection| connection.execute("INSERT INTO t VALUES (?)", &large)).unwrap();
            writing.run(|connection| connection.execute("DELETE FROM t", &[])).unwrap();
            writing.commit().unwrap();
            writing.committed();
        }
        assert!((4..16).contains(&size()), "the log of our own changes has {} MiB of 40", size());
        let before = size();
        for value in 0..1000 {
            other.execute("INSERT INTO t VALUES (?)", [value]).unwrap();
            if value % 100 == 0 {
                writing.refresh();
            }
        }
        assert!(size() < before + 3, "the log of changes by others grows to {} MiB", size());
        assert_eq!(count(&writing), 1000);
    }

    #[test]
    fn a_log_is_copied_without_the_writer() {
        let (dir, writing) = fresh();
        writing.begin().unwrap();
        let large = [Value::from("x".repeat(2 << 20))];
        writing.run(|connection| connection.execute("INSERT INTO t VALUES (?)", &large)).unwrap();
        writing.commit().unwrap();
        writing.committed();
        let file = dir.path().join("test.db");
        let size = || std::fs::metadata(&file).unwrap().len();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while size() < 2 << 20 {
            assert!(std::time::Instant::now() < deadline, "the log is not copied");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn no_statement_runs_outside_of_a_transaction() {
        let (_dir, writing) = fresh();
        assert!(insert(&writing, 1).is_err());
        assert_eq!(count(&writing), 0);
    }

    #[test]
    fn an_open_transaction_is_rolled_back_before_the_next_one() {
        let (_dir, writing) = fresh();
        writing.begin().unwrap();
        insert(&writing, 1).unwrap();
        assert_eq!(count(&writing), 0);
    }
}
