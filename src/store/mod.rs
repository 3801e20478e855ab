//! The database: SQLite or PostgreSQL.
//!
//! Reads use [`Store::read`] or, for rows of a tenant, [`Store::tenant`]. Every write uses [`Store::write`],
//! which adds the audit event and the outbox events in the same transaction.
//!
//! Queries are SeaORM's. [`Fetch`], [`Count`], [`Exec`] and the traits beside them run them on a connection of the store
//! (`postgres/`, `sqlite/`).
//!
//! Reads run on the caller's own future, and may be dropped: on PostgreSQL the pool receives what a dropped read left unread. On
//! SQLite a read is complete when its future is first polled, or runs to its end on another thread.

mod access_ends;
mod apart;
mod api_key_uses;
pub mod audit;
pub mod backup;
mod cache;
pub mod chain;
pub mod columns;
mod conflict;
mod connect;
mod enrolled_changes;
mod kind;
pub mod like;
pub mod older_text;
mod on_statement;
pub mod outbox;
pub mod outbox_retention;
pub mod page;
pub mod pages;
mod postgres;
mod query;
pub mod relay;
mod remote;
mod revocations;
mod schema;
pub mod sealing;
mod sequence;
mod session_ends;
mod sightings;
mod spc_changes;
mod sqlite;
pub mod tables;
mod tenant;
pub mod tenant_lookup;
mod time;
mod unique;
mod write;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{DatabaseConnection, DbBackend};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

pub use apart::apart;
pub use cache::Invalidate;
pub use columns::{Stamp, json};
pub use connect::{Location, StoreConfig, check_url};
pub use on_statement::OnStatement;
pub use pages::Pages;
pub use postgres::TlsMode;
pub use query::{
    Count, Db, Decode, Exec, Fetch, FetchUpdated, Kept, Reads, Table, Tuple, TxConn, UpdateRow, delete_some, execute,
    insert_rows, submit, submit_rows,
};
pub use remote::{Remote, Session};
pub use revocations::Revocation;
pub use sealing::kek::{Kek, RemoteKek};
pub use sealing::keyring::Keyring;
pub use sealing::sealer::Sealer;
pub use session_ends::SessionsOf;
pub use spc_changes::SPC_SKEW;
pub use write::change::{Change, ChangeKind, Resource};
pub use write::idempotent;
pub use write::in_write;
pub use write::queued::WriteFn;
pub use write::tx::Tx;

use crate::base::{Activator, Clock, Result};

/// How long closing the store waits for detached calls.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How long it waits for started writes and for the connections to close.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// A handle to the database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: connect::Databases,
    clock: Clock,
    /// The single writer of SQLite; PostgreSQL uses one transaction per write.
    group: Option<write::group_commit::Writer>,
    /// Tasks that may outlive their callers.
    tasks: TaskTracker,
    /// Detached calls, which complete even if their callers disconnect.
    calls: TaskTracker,
    /// Activated after each commit that has rows for the relay.
    committed: Activator,
    /// Notified after each commit in this process.
    observers: write::after_commit::Observers,
    /// Whether all migrations are applied, which never becomes false again.
    migrated: AtomicBool,
}

impl Store {
    /// Opens the database and checks that it responds. Does not migrate.
    pub async fn open(config: StoreConfig) -> Result<Self> {
        let db = connect::open(&config).await?;
        let tasks = TaskTracker::new();
        let observers = write::after_commit::Observers::default();
        let start =
            |writing| write::group_commit::Writer::start(writing, config.clock.clone(), observers.clone(), &tasks);
        let group =
            db.writing.clone().map(start).transpose().map_err(|error| conflict::unavailable(error, "write to"))?;
        let store = Self(Arc::new(Inner {
            db,
            clock: config.clock,
            group,
            tasks,
            calls: TaskTracker::new(),
            committed: Activator::default(),
            observers,
            migrated: AtomicBool::new(false),
        }));
        store.ping().await?;
        Ok(store)
    }

    /// The connection for reads. Rows of a tenant are accessed through [`Store::tenant`] instead.
    pub fn read(&self) -> &Reads {
        &self.0.db.reads
    }

    /// A connection of SeaORM for reads, for migrations and tests. It is slower than [`read`](Self::read).
    pub fn orm(&self) -> &DatabaseConnection {
        &self.0.db.orm
    }

    pub fn backend(&self) -> DbBackend {
        self.0.db.backend()
    }

    /// Activated after each commit that has rows for the relay.
    pub fn committed(&self) -> &Activator {
        &self.0.committed
    }

    /// Activated after this process has numbered outbox events: in a commit on SQLite, by the relay on PostgreSQL.
    pub fn numbered(&self) -> &Activator {
        &self.0.observers.numbered
    }

    /// Activated after each commit that made an operation due.
    pub fn operations_due(&self) -> &Activator {
        &self.0.observers.operations
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Fails with [`DatabaseUnavailable`](crate::base::error::Reason::DatabaseUnavailable) if the database does not
    /// respond.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.read().ping().await?)
    }

    /// Names of the migrations that are not applied, oldest first. Changes nothing.
    pub async fn pending_migrations(&self) -> Result<Vec<String>> {
        if self.0.migrated.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let pending = schema::pending(self.read()).await?;
        self.0.migrated.store(pending.is_empty(), Ordering::Relaxed);
        Ok(pending)
    }

    /// Names of all migrations of this program, oldest first: those that a new database lacks.
    pub fn known_migrations() -> Vec<String> {
        schema::known()
    }

    /// Applies the pending migrations and returns their names. Calls `progress` with each name before it starts.
    /// Several replicas may call this concurrently: one works, the others wait for it.
    pub async fn migrate(&self, progress: impl FnMut(&str) + Send) -> Result<Vec<String>> {
        schema::migrate(&self.0.db, progress).await
    }

    /// Runs a call to completion, even if its caller disconnects. [`close`](Self::close) waits for it briefly.
    pub fn see_through<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.calls.spawn(call)
    }

    /// Waits briefly for detached calls and for started writes, then closes all connections. If the database does
    /// not respond, it rolls back what was not committed.
    pub async fn close(&self) {
        self.0.calls.close();
        if tokio::time::timeout(LAST_CALLS, self.0.calls.wait()).await.is_err() {
            tracing::warn!("calls with idempotency keys were interrupted");
        }
        if let Some(group) = &self.0.group {
            group.stop();
        }
        self.0.tasks.close();
        let closing = async {
            self.0.tasks.wait().await;
            self.0.db.close().await;
        };
        if tokio::time::timeout(LAST_WRITES, closing).await.is_err() {
            tracing::warn!("the database did not answer in time: its connections were left open");
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({:?})", self.backend())
    }
}
