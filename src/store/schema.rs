//! Migrations: which are pending, and applying them when several replicas start at once.

use std::{collections::HashSet, time::Duration};

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, EntityTrait, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
    sqlx::{self, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions},
};
use tenantry_migrations::{
    Migrator,
    sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager, seaql_migrations},
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{conflict, connect::Databases};
use crate::base::{
    Error, Result,
    error::{Kind, Reason},
};

/// The advisory lock of those who migrate: the letters `tenantry` as a number.
const LOCK: i64 = i64::from_be_bytes(*b"tenantry");
/// How often a waiting replica asks for the lock.
const POLL: Duration = Duration::from_millis(100);

/// Names of the migrations that the database lacks. Migrations that a newer program applied are none of our business.
pub(super) async fn pending(db: &DatabaseConnection) -> Result<Vec<String>> {
    let applied =
        if SchemaManager::new(db).has_table("seaql_migrations").await? { applied(db).await? } else { HashSet::new() };
    Ok(missing(&applied).map(|migration| migration.name().to_owned()).collect())
}

/// Names of all migrations.
pub(super) fn known() -> Vec<String> {
    missing(&HashSet::new()).map(|migration| migration.name().to_owned()).collect()
}

/// Applies what is pending and returns the names.
pub(super) async fn migrate(db: &Databases, mut progress: impl FnMut(&str) + Send) -> Result<Vec<String>> {
    let Some(direct) = &db.direct else { return migrate_locked(db, &mut progress).await };
    let lock = lock(direct, db.migrate_timeout).await?;
    let outcome = migrate_locked(db, &mut progress).await;
    // The end of the connection is the end of the lock.
    if let Err(error) = lock.close().await {
        tracing::debug!(%error, "closing the connection of the migration lock failed");
    }
    outcome
}

/// All pending migrations in one transaction: none or all. On SQLite that transaction is the lock as well.
async fn migrate_locked(db: &Databases, progress: &mut (impl FnMut(&str) + Send)) -> Result<Vec<String>> {
    let tx = begin(db).await?;
    Migrator::install(&tx).await?;
    let applied = applied(&tx).await?;
    let mut names = Vec::new();
    for migration in missing(&applied) {
        progress(migration.name());
        apply(&tx, migration.as_ref()).await?;
        names.push(migration.name().to_owned());
    }
    tx.commit().await?;
    Ok(names)
}

/// The transaction. On SQLite another one may be migrating for longer than a write waits.
async fn begin(db: &Databases) -> Result<DatabaseTransaction> {
    let deadline = Instant::now() + db.migrate_timeout;
    loop {
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        match db.write.begin_with_options(immediate).await {
            Err(error) if conflict::is_locked(&error) && Instant::now() < deadline => tokio::time::sleep(POLL).await,
            begun => return Ok(begun?),
        }
    }
}

async fn apply(tx: &DatabaseTransaction, migration: &dyn MigrationTrait) -> Result<()> {
    migration.up(&SchemaManager::new(tx)).await?;
    let record = seaql_migrations::ActiveModel {
        version: Set(migration.name().to_owned()),
        applied_at: Set(OffsetDateTime::now_utc().unix_timestamp()),
    };
    record.insert(tx).await?;
    Ok(())
}

async fn applied(db: &impl ConnectionTrait) -> Result<HashSet<String>> {
    let rows = seaql_migrations::Entity::find().all(db).await?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

fn missing(applied: &HashSet<String>) -> impl Iterator<Item = Box<dyn MigrationTrait>> {
    Migrator::migrations().into_iter().filter(|migration| !applied.contains(migration.name()))
}

/// Takes the lock on a connection of its own. It is asked for again and again rather than waited for: a session that
/// waits in the database holds a snapshot, and that would stall an index that is built concurrently.
async fn lock(direct: &PgConnectOptions, patience: Duration) -> Result<PgConnection> {
    let deadline = Instant::now() + patience;
    let mut connection = direct.connect().await.map_err(|error| conflict::unavailable(error, "connect to"))?;
    loop {
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| conflict::unavailable(error, "lock"))?;
        if taken {
            return Ok(connection);
        }
        if Instant::now() >= deadline {
            let message = format!("another process has been migrating the database for {} s", patience.as_secs());
            return Err(Error::new(Kind::Unavailable, Reason::DatabaseUnavailable, message));
        }
        tokio::time::sleep(POLL).await;
    }
}
