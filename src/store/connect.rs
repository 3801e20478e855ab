//! Opening the database.

use std::{fmt, path::Path, str::FromStr, time::Duration};

use sea_orm::{
    DatabaseConnection, DbBackend,
    sqlx::{
        Connection,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::conflict;
use crate::base::{
    Clock, Error, Result, Secret,
    error::{Kind, Reason},
};

/// How long a connection of PostgreSQL may be idle before it is tried when it is next used.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// How to open a store.
#[derive(Clone)]
pub struct StoreConfig {
    /// `sqlite:<path>` or `postgres://...`. It may hold a password.
    pub url: Secret<String>,
    /// Most connections at once: all of PostgreSQL's, the readers of SQLite.
    pub max_connections: u32,
    /// How long a call waits for a connection, and on SQLite for another process that writes, before it fails as
    /// unavailable.
    pub acquire_timeout: Duration,
    /// How long a replica waits for another one that migrates.
    pub migrate_timeout: Duration,
    /// The clock.
    pub clock: Clock,
}

impl StoreConfig {
    /// The defaults for a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url.into()),
            max_connections: 16,
            acquire_timeout: Duration::from_secs(3),
            migrate_timeout: Duration::from_secs(60),
            clock: Clock::system(),
        }
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The open connections.
pub(super) struct Databases {
    /// Where reads go.
    pub read: DatabaseConnection,
    /// Where writes go: one connection on SQLite, the same pool as for reads on PostgreSQL.
    pub write: DatabaseConnection,
    /// How to reach PostgreSQL outside the pool.
    pub direct: Option<PgConnectOptions>,
    /// How long to wait for another one that migrates.
    pub migrate_timeout: Duration,
}

impl Databases {
    /// Which database it is.
    pub fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Closes every connection.
    pub async fn close(&self) {
        for connection in [&self.read, &self.write] {
            if let Err(error) = connection.close_by_ref().await {
                tracing::debug!(%error, "closing the database failed");
            }
        }
    }
}

/// Opens the database that the URL names.
pub(super) async fn open(config: &StoreConfig) -> Result<Databases> {
    let url = config.url.expose();
    if url.starts_with("sqlite:") {
        open_sqlite(config, url).await
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        open_postgres(config, url)
    } else {
        Err(bad_url("the database url must begin with sqlite: or postgres:"))
    }
}

/// The driver's own text would repeat the URL with its password, so it is not kept.
fn bad_url(message: &'static str) -> Error {
    Error::invalid(Reason::InvalidArgument, "database_url", message)
}

async fn open_sqlite(config: &StoreConfig, url: &str) -> Result<Databases> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| bad_url("the sqlite url cannot be read"))?;
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(bad_url("the database must be a file: readers and the writer have connections of their own"));
    }
    create_private(options.get_filename())?;
    let options = options
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(config.acquire_timeout)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let write = writer(config).connect_with(options.clone()).await;
    let write = write.map_err(|error| conflict::unavailable(error, "open"))?;
    let read = readers(config).connect_lazy_with(options.read_only(true));
    Ok(Databases { read: read.into(), write: write.into(), direct: None, migrate_timeout: config.migrate_timeout })
}

/// One connection that never grows old. If a failure left it inside a transaction (SQLite ends one by itself when the disk
/// is full, and the driver does not notice), it is closed instead of used again; the ping lets a queued rollback pass.
fn writer(config: &StoreConfig) -> SqlitePoolOptions {
    readers(config).max_connections(1).after_release(|connection, _| {
        Box::pin(async move {
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

fn readers(config: &StoreConfig) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(config.max_connections.max(1))
        .acquire_timeout(config.acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Creates the file for its owner alone; SQLite gives its companions the same mode.
fn create_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let message = format!("the database file {} cannot be created: {error}", path.display());
            Err(Error::new(Kind::Unavailable, Reason::DatabaseUnavailable, message))
        }
    }
}

fn open_postgres(config: &StoreConfig, url: &str) -> Result<Databases> {
    let options = PgConnectOptions::from_str(url).map_err(|_| bad_url("the postgres url cannot be read"))?;
    let options = options.application_name("tenantry");
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections.max(1))
        .acquire_timeout(config.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone());
    let pool = DatabaseConnection::from(pool);
    Ok(Databases { read: pool.clone(), write: pool, direct: Some(options), migrate_timeout: config.migrate_timeout })
}
