//! The connections for reads.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use tokio::{sync::Semaphore, task, time::timeout};

use super::{Connection, DatabaseFile, Mode};
use crate::store::on_statement::OnStatement;

/// How long a read waits for another process, which can lock a WAL file only for moments. It blocks its thread meanwhile.
const BUSY: Duration = Duration::from_millis(50);
/// Number of steps of SQLite's virtual machine that a read may take on its caller's thread: a millisecond or two.
const STEPS: i64 = 50_000;

/// Connections for reads. Cheap to clone.
///
/// A read runs on the thread that polls it, so it has a bound. A longer one is stopped and runs again on a thread for blocking
/// work. Only those hold a connection across an `await`; of the others there are no more than threads.
#[derive(Clone)]
pub struct Readers(Arc<Pool>);

/// Where the readers connect to, and how many there may be.
pub struct Settings {
    pub file: DatabaseFile,
    /// The page cache of each, in KiB.
    pub cache: i64,
    pub on_statement: Option<OnStatement>,
    /// How long a read waits for a connection.
    pub acquire_timeout: Duration,
    /// Maximum number of connections.
    pub max: u32,
}

struct Pool {
    settings: Settings,
    free: Semaphore,
    /// For reads beyond the bound, so that they leave connections to the others.
    long: Semaphore,
    /// The connections that are open and not in use; the last one used is used next.
    idle: Mutex<Vec<Connection>>,
}

/// A connection in use. It is returned when this is dropped.
struct Reader {
    pool: Arc<Pool>,
    /// `None` only while it is dropped.
    connection: Option<Connection>,
}

impl Readers {
    /// Opens no connection yet.
    pub fn new(settings: Settings) -> Self {
        // A `u32` fits into a `usize` on the systems that Tenantry is built for.
        let max = settings.max.max(1) as usize;
        Self(Arc::new(Pool {
            free: Semaphore::new(max),
            long: Semaphore::new((max / 2).max(1)),
            idle: Mutex::default(),
            settings,
        }))
    }

    /// Runs a read. It must have no effects but its result, because it runs again if it takes long.
    pub async fn read<T, F>(&self, work: F) -> Result<T, DbErr>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, DbErr> + Send + 'static,
    {
        // Otherwise a task that reads in a loop would never let others run.
        task::consume_budget().await;
        let reader = self.acquire().await?;
        let done = reader.run(|connection| connection.bounded(STEPS, &work))?;
        drop(reader);
        match done {
            Some(done) => done,
            // Boxed, because it is rare: its size would be that of every read.
            None => Box::pin(self.read_long(work)).await,
        }
    }

    async fn read_long<T, F>(&self, work: F) -> Result<T, DbErr>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, DbErr> + Send + 'static,
    {
        let _one = timeout(self.0.settings.acquire_timeout, self.0.long.acquire()).await.map_err(|_| exhausted())?;
        let reader = self.acquire().await?;
        let running = task::spawn_blocking(move || reader.run(work)?);
        running.await.map_err(|error| DbErr::Query(RuntimeErr::Internal(error.to_string())))?
    }

    async fn acquire(&self) -> Result<Reader, DbErr> {
        let pool = &self.0;
        let permit = match pool.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match timeout(pool.settings.acquire_timeout, pool.free.acquire()).await {
                Ok(acquired) => acquired.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?,
                Err(_) => return Err(exhausted()),
            },
        };
        let idle = pool.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => pool.open()?,
        };
        permit.forget();
        Ok(Reader { pool: Arc::clone(pool), connection: Some(connection) })
    }

    /// Fails if the database does not respond, or is not the file that was opened.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.0.settings.file.check()?;
        self.read(|on| on.query("SELECT 1", &[], |_| Ok(true))).await
    }

    /// Waits for the reads that run and closes all connections.
    pub async fn close(&self) {
        // Fails only if it was closed before.
        if let Ok(all) = self.0.free.acquire_many(self.0.settings.max.max(1)).await {
            self.0.free.close();
            all.forget();
        }
        let idle = std::mem::take(&mut *self.0.idle());
        drop(idle);
    }
}

impl Pool {
    fn open(&self) -> Result<Connection, DbErr> {
        let Settings { file, cache, on_statement, .. } = &self.settings;
        file.check()?;
        Connection::open(file.path(), Mode::Read { cache: *cache }, BUSY, on_statement.clone())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn run<T>(&self, work: impl FnOnce(&Connection) -> T) -> Result<T, DbErr> {
        let connection = self.connection.as_ref();
        connection.map(work).ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.pool.idle().extend(self.connection.take());
        self.pool.free.add_permits(1);
    }
}

fn exhausted() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Readers")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt;

    use super::*;
    use crate::store::kind::column;

    /// Counts to a number, which takes ten steps each.
    const COUNT: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT max(i) FROM n";

    fn readers(max: u32) -> (tempfile::TempDir, Readers) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = WAL").unwrap();
        let acquire_timeout = Duration::from_millis(100);
        let file = DatabaseFile::new(path).unwrap();
        (dir, Readers::new(Settings { file, cache: 256, on_statement: None, acquire_timeout, max }))
    }

    fn counted(on: &Connection, to: i64) -> Result<i64, DbErr> {
        let mut counted = 0;
        on.query(COUNT, &[to.into()], |row| {
            counted = column(row, 0)?;
            Ok(true)
        })?;
        Ok(counted)
    }

    #[tokio::test]
    async fn a_short_read_is_ready_at_its_first_poll() {
        let (_dir, readers) = readers(1);
        for _ in 0..100 {
            assert_eq!(readers.read(|on| counted(on, 100)).now_or_never().unwrap().unwrap(), 100);
            // Otherwise the task would use up its budget.
            task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_long_read_leaves_the_thread_of_its_caller() {
        let (_dir, readers) = readers(1);
        let runs = Arc::new(AtomicU32::new(0));
        let (counter, caller) = (Arc::clone(&runs), std::thread::current().id());
        let read = move |on: &Connection| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok((counted(on, 1_000_000)?, std::thread::current().id()))
        };
        let (count, thread) = readers.read(read).await.unwrap();
        assert_eq!((count, runs.load(Ordering::Relaxed)), (1_000_000, 2));
        assert_ne!(thread, caller);
        assert_eq!(readers.read(|on| counted(on, 1)).await.unwrap(), 1, "the connection must be returned");
    }

    #[tokio::test]
    async fn a_dropped_read_returns_its_connection() {
        let (_dir, readers) = readers(1);
        let long = || readers.read(|on| counted(on, 3_000_000));
        assert!(long().now_or_never().is_none());
        // It still runs, and the next one waits.
        let short = readers.read(|on| counted(on, 1));
        assert!(tokio::time::timeout(Duration::from_secs(10), async { while long().await.is_err() {} }).await.is_ok());
        assert_eq!(short.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_read_of_a_locked_file_fails_soon_as_an_outage() {
        let (_dir, readers) = readers(1);
        let other = rusqlite::Connection::open(readers.0.settings.file.path()).unwrap();
        other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (a); BEGIN EXCLUSIVE").unwrap();
        let (began, table) = (std::time::Instant::now(), "SELECT count(*) FROM sqlite_schema");
        let error = readers.read(move |on| on.query(table, &[], |_| Ok(true))).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(crate::base::Error::from(error).kind, crate::base::Kind::Unavailable);
        drop(other);
        readers.read(move |on| on.query(table, &[], |_| Ok(true))).await.unwrap();
    }

    #[tokio::test]
    async fn reads_fail_when_all_connections_are_in_use_or_closed() {
        let (_dir, readers) = readers(1);
        let taken = readers.acquire().await.unwrap();
        let error = readers.read(|on| counted(on, 1)).await.unwrap_err();
        assert_eq!(error, exhausted());
        drop(taken);
        assert_eq!(readers.read(|on| counted(on, 1)).await.unwrap(), 1);
        readers.close().await;
        assert!(matches!(readers.read(|on| counted(on, 1)).await, Err(DbErr::ConnectionAcquire(_))));
    }
}
