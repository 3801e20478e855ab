//! A connection to the database of a tenant, as a login that acts as its owner, which applies migrations.
//!
//! The programs of the tenant have the same rights in the database, so nothing in it is trusted: their triggers and functions may
//! run in this connection. The login can do nothing that they cannot do. In particular, it is never the provisioner.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;

use super::fault;
use crate::{
    base::{Error, Result, Secret, error::Reason},
    store::{Remote, Session},
};

/// Only one connection migrates a database at a time. The number is that of an advisory lock in the database.
const LOCK: i64 = i64::from_be_bytes(*b"tenantry");
/// What is done before the first migration.
const BEGIN: &str = "the preparation of the migrations";
/// The record of the migrations in the database of the tenant.
const RECORD: &str = "CREATE SCHEMA IF NOT EXISTS tenantry; \
                      CREATE TABLE IF NOT EXISTS tenantry.migrations (revision text PRIMARY KEY, digest text NOT NULL, \
                      applied_at timestamptz NOT NULL DEFAULT now(), applied_by text NOT NULL DEFAULT session_user)";

/// How long each exchange with the server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationLimits {
    /// Opening a connection.
    pub connect: Duration,
    /// Waiting for a lock, which others hold while they use the database.
    pub lock: Duration,
    /// A migration.
    pub statement: Duration,
}

impl Default for MigrationLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), lock: Duration::from_secs(5), statement: Duration::from_secs(60) }
    }
}

/// A migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its name, such as `0001_baseline`. Migrations are applied in the order of their names.
    pub revision: String,
    pub sql: String,
    /// SHA-256 of the text, in hex.
    pub digest: String,
}

/// A migration that was applied to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub revision: String,
    pub digest: String,
}

/// Why no connection was opened.
#[derive(Debug)]
pub struct Unopened {
    pub error: Error,
    /// Whether the server refused the login itself, so that another one may help.
    pub is_login_refused: bool,
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Self { error, is_login_refused: false }
    }
}

/// A connection that migrates a database. No other one does until it is dropped.
pub struct TenantSession {
    session: Session,
    owner: String,
    limits: MigrationLimits,
}

impl TenantSession {
    /// Connects with a login to the database of a tenant, as its owner role.
    pub async fn open(
        server: &Remote,
        (user, password): (&str, &Secret<String>),
        (database, owner): (&str, &str),
        limits: MigrationLimits,
    ) -> Result<Self, Unopened> {
        let remote = server.with_login(user, password, database);
        let opened = timeout(limits.connect, remote.connect()).await.map_err(|_| fault::slow())?;
        let session = opened.map_err(|error| {
            let (error, is_login_refused) = fault::of_login(&error);
            Unopened { error, is_login_refused }
        })?;
        let session = Self { session, owner: owner.to_owned(), limits };
        session.prepare().await?;
        Ok(session)
    }

    async fn prepare(&self) -> Result<()> {
        self.reset(BEGIN).await?;
        self.query("the migration of the database", "SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
        self.batch(BEGIN, RECORD).await
    }

    /// The migrations that were applied, in their order.
    pub async fn applied(&self) -> Result<Vec<Applied>> {
        let query = "SELECT revision::text, digest::text FROM tenantry.migrations ORDER BY revision COLLATE \"C\"";
        let rows = self.query(BEGIN, query, &[]).await?;
        let applied = rows.iter().map(|row| Ok(Applied { revision: row.try_get(0)?, digest: row.try_get(1)? }));
        applied.collect::<Result<_, _>>().map_err(|error| fault::of_migration(&error, BEGIN))
    }

    /// Applies a migration and records it, in one transaction. It cannot end the transaction itself: the server refuses that inside of
    /// EXECUTE.
    pub async fn apply(&self, migration: &Migration) -> Result<()> {
        let what = format!("the migration {}", migration.revision);
        self.reset(&what).await?;
        let quoted = "SELECT format('DO %L', format('BEGIN EXECUTE %L; END', $1::text))";
        let rows = self.query(&what, quoted, &[&migration.sql]).await?;
        let run: String =
            rows.first().map(|row| row.get(0)).ok_or_else(|| Error::internal("format returned no row"))?;
        let applied = async {
            self.batch(&what, "BEGIN").await?;
            self.batch(&what, &run).await?;
            // Whatever the migration has set.
            self.query(&what, "SELECT set_config('role', $1, true)", &[&self.owner]).await?;
            let record = "INSERT INTO tenantry.migrations (revision, digest) VALUES ($1, $2) RETURNING revision";
            let recorded = self.query(&what, record, &[&migration.revision, &migration.digest]).await?;
            if recorded.is_empty() {
                let message = format!("{what} cannot be recorded in tenantry.migrations");
                return Err(Error::precondition(Reason::TenantMigrationFailed, message));
            }
            self.batch(&what, "COMMIT").await
        };
        let done = applied.await;
        if done.is_err() {
            // The first error is the one to report; a connection that cannot roll back is closed with its transaction.
            let _ = self.batch(&what, "ROLLBACK").await;
        }
        done
    }

    /// Sets the role and the limits, whatever the database and earlier migrations have set.
    async fn reset(&self, what: &str) -> Result<()> {
        let MigrationLimits { lock, statement, .. } = self.limits;
        let (lock, statement) = (lock.as_millis(), statement.as_millis());
        let settings = format!(
            "RESET ALL; SET search_path = public; SET lock_timeout = {lock}; SET statement_timeout = {statement}; \
             SET idle_in_transaction_session_timeout = {statement}"
        );
        self.batch(what, &settings).await?;
        self.query(what, "SELECT set_config('role', $1, false)", &[&self.owner]).await.map(drop)
    }

    async fn batch(&self, what: &str, sql: &str) -> Result<()> {
        let done = timeout(self.patience(), self.session.batch_execute(sql)).await.map_err(|_| fault::slow())?;
        done.map_err(|error| fault::of_migration(&error, what))
    }

    async fn query(&self, what: &str, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<tokio_postgres::Row>> {
        let rows = timeout(self.patience(), self.session.query(sql, values)).await.map_err(|_| fault::slow())?;
        rows.map_err(|error| fault::of_migration(&error, what))
    }

    /// The server gives up before this side does.
    fn patience(&self) -> Duration {
        self.limits.statement + self.limits.connect
    }
}

impl std::fmt::Debug for TenantSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TenantSession")
    }
}
