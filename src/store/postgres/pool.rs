//! The connections.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ConnAcquireErr, DbErr, Value};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout},
};
use tokio_postgres::Row;

use super::{Connection, Keep, Options, fault};
use crate::store::on_statement::OnStatement;

/// Idle time after which a connection is tested before it is used again.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// Idle time after which a connection is closed.
const IDLE: Duration = Duration::from_secs(600);
/// Age at which a connection is closed, so that the server gets back the memory that a session collects.
const LIFETIME: Duration = Duration::from_secs(1800);
/// How long a connection may take to complete what a dropped call left.
const SETTLING: Duration = Duration::from_secs(5);
/// The first delay before connecting again.
const CONNECT_AGAIN: Duration = Duration::from_millis(10);
/// The longest of these delays.
const CONNECT_SLOWLY: Duration = Duration::from_millis(300);

/// Connections to PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

/// Where the connections go, and how many there may be.
pub struct Settings {
    pub options: Options,
    pub on_statement: Option<OnStatement>,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// Maximum number of connections.
    pub max: u32,
}

struct Inner {
    settings: Settings,
    free: Semaphore,
    /// The connections that are open and not in use, with the time of their last use; the last one used is used next.
    idle: Mutex<Vec<(Box<Connection>, Instant)>>,
}

/// A connection in use. It is returned when this is dropped; one inside a transaction, or with replies that were not received,
/// completes that first.
pub struct Lease {
    pool: Arc<Inner>,
    /// `None` only while it is dropped.
    connection: Option<Box<Connection>>,
    in_transaction: bool,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    /// Opens no connection yet.
    pub fn new(settings: Settings) -> Self {
        // A `u32` fits into a `usize` on the systems that Tenantry is built for.
        let max = settings.max.max(1) as usize;
        Self(Arc::new(Inner { free: Semaphore::new(max), idle: Mutex::default(), settings }))
    }

    /// Runs a query.
    pub(in crate::store) async fn query(&self, sql: &str, values: &[Value], keep: Keep) -> Result<Vec<Row>, DbErr> {
        self.acquire().await?.connection()?.query(sql, values, keep).await
    }

    /// Runs a change, which is committed by itself. Returns the number of changed rows.
    pub(in crate::store) async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DbErr> {
        self.acquire().await?.connection()?.execute(sql, values).await
    }

    /// Fails if the server does not respond.
    pub(in crate::store) async fn ping(&self) -> Result<(), DbErr> {
        self.acquire().await?.connection()?.ping().await
    }

    /// Waits for the connections in use, and closes all.
    pub(in crate::store) async fn close(&self) {
        // Fails only if it was closed before.
        if let Ok(all) = self.0.free.acquire_many(self.0.settings.max.max(1)).await {
            self.0.free.close();
            all.forget();
        }
        let idle = std::mem::take(&mut *self.0.idle());
        futures::future::join_all(idle.into_iter().map(|(connection, _)| connection.close())).await;
    }

    /// A connection that nothing else uses. Waits for it for a limited time.
    pub(super) async fn acquire(&self) -> Result<Lease, DbErr> {
        let pool = &self.0;
        if let Ok(permit) = pool.free.try_acquire() {
            // Nearly always there is a connection that was just used.
            match pool.pop() {
                Some((connection, since)) if since.elapsed() < TRUSTED_IDLE => {
                    return Ok(self.lease(permit, connection));
                }
                Some((connection, since)) => pool.idle().push((connection, since)),
                None => {}
            }
        }
        match timeout(pool.settings.acquire_timeout, self.obtain()).await {
            Ok(lease) => lease,
            Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        }
    }

    async fn obtain(&self) -> Result<Lease, DbErr> {
        let pool = &self.0;
        let closed = |_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed);
        let permit = pool.free.acquire().await.map_err(closed)?;
        while let Some((mut connection, since)) = pool.pop() {
            if since.elapsed() < TRUSTED_IDLE || connection.ping().await.is_ok() {
                return Ok(self.lease(permit, connection));
            }
        }
        let connection = pool.connect().await?;
        Ok(self.lease(permit, connection))
    }

    fn lease(&self, permit: SemaphorePermit<'_>, connection: Box<Connection>) -> Lease {
        permit.forget();
        Lease { pool: Arc::clone(&self.0), connection: Some(connection), in_transaction: false }
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<(Box<Connection>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the idle connection that was used last, without those that the server has closed.
    fn pop(&self) -> Option<(Box<Connection>, Instant)> {
        loop {
            let (mut connection, since) = self.idle().pop()?;
            if connection.is_usable() && connection.age() < LIFETIME {
                return Some((connection, since));
            }
        }
    }

    /// Connects to the server. Tries again, until the caller gives up, if the server is starting or has too many connections.
    async fn connect(&self) -> Result<Box<Connection>, DbErr> {
        let mut delay = CONNECT_AGAIN;
        loop {
            match Connection::open(&self.settings.options, self.settings.on_statement.clone()).await {
                Ok(connection) => return Ok(Box::new(connection)),
                Err(error) if fault::is_temporary(&error) => {
                    tracing::debug!(%error, "cannot connect to the database; trying again");
                    sleep(delay).await;
                    delay = (delay * 2).min(CONNECT_SLOWLY);
                }
                Err(error) => return Err(fault::of_connecting(&error)),
            }
        }
    }

    /// Returns a connection that nothing uses, or closes it.
    fn put_back(&self, mut connection: Box<Connection>) {
        let usable = connection.is_usable();
        let now = Instant::now();
        let mut idle = self.idle();
        if usable {
            idle.push((connection, now));
        }
        // The first ones were not used for longest.
        let unused = idle.iter().take_while(|(_, since)| now.duration_since(*since) >= IDLE).count();
        idle.drain(..unused);
        drop(idle);
        self.free.add_permits(1);
    }

    /// Completes what a dropped call left.
    async fn settle(self: Arc<Self>, mut connection: Box<Connection>, in_transaction: bool) {
        let end = if in_transaction { "ROLLBACK" } else { "" };
        match timeout(SETTLING, connection.control(end)).await {
            Ok(Ok(())) => self.put_back(connection),
            Ok(Err(_)) | Err(_) => {
                drop(connection);
                self.free.add_permits(1);
            }
        }
    }
}

impl Lease {
    pub(super) fn connection(&mut self) -> Result<&mut Connection, DbErr> {
        let connection = self.connection.as_deref_mut();
        connection.ok_or(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
    }

    /// The connection, which is inside a transaction from now on.
    pub(super) fn begin_transaction(&mut self) -> Result<&mut Connection, DbErr> {
        self.in_transaction = true;
        self.connection()
    }

    /// Notes that the transaction has ended.
    pub(super) fn end_transaction(&mut self) {
        self.in_transaction = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let pool = &self.pool;
        let unfinished = self.in_transaction || connection.is_busy();
        match Handle::try_current() {
            _ if !unfinished => pool.put_back(connection),
            Ok(runtime) if connection.is_usable() => {
                drop(runtime.spawn(Arc::clone(pool).settle(connection, self.in_transaction)));
            }
            // The server rolls back when the connection is closed.
            _ => {
                drop(connection);
                pool.free.add_permits(1);
            }
        }
    }
}
