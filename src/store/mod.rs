//! The store: SQLite or PostgreSQL behind one door.
//!
//! Reads go to [`Store::read`] or, for what belongs to a tenant, to [`Store::tenant`]. Every write goes through
//! [`Store::write`], which appends the audit event and the outbox events in the same transaction.
//!
//! Reads run on the caller's own future. That is safe where writes are not: what poisons a pooled connection is a future
//! that is dropped during `BEGIN` (sqlx issues 4385 and 4393), and a read is one statement without a transaction; the
//! pool drains what a dropped one left on the wire.

pub mod audit;
pub mod chain;
mod clusters;
mod conflict;
mod connect;
pub mod entities;
pub mod idempotent;
pub mod json;
pub mod ledger;
pub mod like;
pub mod older_text;
mod outbox;
pub mod outbox_retention;
pub mod pages;
pub mod relay;
mod revocations;
mod schema;
pub mod scopes;
pub mod sealing;
mod sequence;
mod time;
mod timestamp;
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

pub use connect::{Location, OnStatement, StoreConfig, check_url};
pub use pages::Pages;
pub use revocations::{Revocation, SessionsOf};
pub use sealing::keyring::{Kek, Keyring};
pub use sealing::sealer::Sealer;
pub use timestamp::Stamp;
pub use write::after_commit::Invalidate;
pub use write::change::{Change, ChangeKind, Resource};
pub use write::in_write;
pub use write::queued::WriteFn;
pub use write::tx::Tx;

use crate::base::{Activator, Clock, Result};

/// How long the end of the store waits for calls that are seen through.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How long it waits for writes that have begun and for the database to let go of its connections.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: connect::Databases,
    clock: Clock,
    /// The one writer of SQLite; PostgreSQL has a transaction for each write.
    group: Option<write::group_commit::Writer>,
    /// What still runs although nobody may wait for it any more.
    tasks: TaskTracker,
    /// Calls that are seen through, whoever waits for them.
    calls: TaskTracker,
    /// Rung after each commit that left something for the relay to number.
    committed: Activator,
    /// What follows a commit in this process.
    observers: write::after_commit::Observers,
    /// No migration was pending when last asked; that never changes back.
    migrated: AtomicBool,
}

impl Store {
    /// Opens the database and sees that it answers. Does not migrate.
    pub async fn open(config: StoreConfig) -> Result<Self> {
        let db = connect::open(&config).await?;
        let tasks = TaskTracker::new();
        let observers = write::after_commit::Observers::default();
        let group = (db.backend() == DbBackend::Sqlite)
            .then(|| write::group_commit::Writer::start(&db, config.clock.clone(), observers.clone(), &tasks));
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

    /// Where reads go. Rows that belong to a tenant are reached through [`Store::tenant`] instead.
    pub fn read(&self) -> &DatabaseConnection {
        &self.0.db.read
    }

    /// Which database it is.
    pub fn backend(&self) -> DbBackend {
        self.0.db.backend()
    }

    /// Activated after each commit that left something for the relay to number.
    pub fn committed(&self) -> &Activator {
        &self.0.committed
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Fails with [`DatabaseUnavailable`](crate::base::error::Reason::DatabaseUnavailable) unless the database answers.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.read().ping().await?)
    }

    /// Names of the migrations that this program knows and the database lacks, oldest first. Changes nothing.
    pub async fn pending_migrations(&self) -> Result<Vec<String>> {
        if self.0.migrated.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let pending = schema::pending(self.read()).await?;
        self.0.migrated.store(pending.is_empty(), Ordering::Relaxed);
        Ok(pending)
    }

    /// Names of all migrations that this program knows, oldest first: what a database lacks that is not there yet.
    pub fn known_migrations() -> Vec<String> {
        schema::known()
    }

    /// Applies the pending migrations, telling `progress` the name of each before it starts, and returns their names.
    /// Any number of replicas may do this at once: one works, the others wait for it.
    pub async fn migrate(&self, progress: impl FnMut(&str) + Send) -> Result<Vec<String>> {
        schema::migrate(&self.0.db, progress).await
    }

    /// Runs a call to its end, whether or not anybody waits for it. [`close`](Self::close) gives it a moment.
    pub fn see_through<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.calls.spawn(call)
    }

    /// Waits for the calls that are seen through and for the writes that have begun, each for a moment, and closes every
    /// connection. A database that does not answer is left: it rolls back what was not committed.
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
