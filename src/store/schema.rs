//! Migrations: determines which are pending, and applies them, also when several replicas start at once.

use std::{collections::HashSet, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, EntityTrait, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
    sqlx::{self, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions},
};
use tenantry_migrations::{MIGRATIONS, Migration, record};
use tokio::time::Instant;

use super::{Db, Fetch, Reads, conflict, connect::Databases, query::fetch_raw};
use crate::base::{
    Error, Result,
    error::{Kind, Reason},
};

/// The advisory lock for migrations: the letters `tenantry` as a number.
const LOCK: i64 = i64::from_be_bytes(*b"tenantry");
/// How long a migration waits for a table lock, because other statements queue behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
/// How often a waiting replica tries to get the lock.
const POLL: Duration = Duration::from_millis(100);

/// Names of the pending migrations. Migrations that a newer program applied are ignored.
pub(super) async fn pending(db: &Reads) -> Result<Vec<String>> {
    let installed: Option<i64> = fetch_raw(db, record::is_installed(db.backend())).await?;
    let rows = if installed.is_some() { record::Entity::find().fetch_all(db).await? } else { Vec::new() };
    let applied = rows.into_iter().map(|row| row.version).collect();
    Ok(missing(&applied).map(|migration| migration.name.to_owned()).collect())
}

pub(super) fn known() -> Vec<String> {
    MIGRATIONS.iter().map(|migration| migration.name.to_owned()).collect()
}

/// Applies the pending migrations and returns their names.
pub(super) async fn migrate(db: &Databases, mut progress: impl FnMut(&str) + Send) -> Result<Vec<String>> {
    let Some(direct) = &db.direct else { return all_at_once(db, &mut progress).await };
    // The lock belongs to a session, which a pooler between the program and the server may not provide.
    if pending(&db.reads).await?.is_empty() {
        return Ok(Vec::new());
    }
    let lock = lock(direct, db.migrate_timeout).await?;
    let outcome = one_by_one(db, &mut progress).await;
    // Closing the connection releases the lock.
    if let Err(error) = lock.close().await {
        tracing::debug!(%error, "closing the connection of the migration lock failed");
    }
    outcome
}

/// Applies all pending migrations of SQLite in one transaction, which also serves as the lock.
async fn all_at_once(db: &Databases, progress: &mut (impl FnMut(&str) + Send)) -> Result<Vec<String>> {
    let tx = begin(db).await?;
    record::install(&tx).await?;
    let applied = record::applied(&tx).await?;
    let mut names = Vec::new();
    for migration in missing(&applied) {
        progress(migration.name);
        migration.apply(&tx).await?;
        names.push(migration.name.to_owned());
    }
    tx.commit().await?;
    reload_schema(db).await.map_err(|error| conflict::unavailable(error, "read"))?;
    Ok(names)
}

/// Makes SQLite readers that were open before the migration see the new schema. A reader that does not know a
/// column takes its quoted name for a string literal, and caches the statement prepared that way.
async fn reload_schema(db: &Databases) -> sqlx::Result<()> {
    let (pool, mut readers) = (db.orm.get_sqlite_connection_pool(), Vec::new());
    while let Some(mut reader) = pool.try_acquire() {
        sqlx::query("SELECT name FROM sqlite_schema LIMIT 1").fetch_optional(&mut *reader).await?;
        readers.push(reader);
    }
    Ok(())
}

/// Applies each pending migration of PostgreSQL in its own transaction. Servers of the previous version keep
/// running, so no migration locks a table longer than necessary, or waits for long while others queue behind
/// it.
async fn one_by_one(db: &Databases, progress: &mut (impl FnMut(&str) + Send)) -> Result<Vec<String>> {
    record::install(&db.write).await?;
    let applied = record::applied(&db.write).await?;
    let mut names = Vec::new();
    for migration in missing(&applied) {
        progress(migration.name);
        let deadline = Instant::now() + db.migrate_timeout;
        loop {
            match apply_alone(&db.write, migration).await {
                Err(error) if conflict::is_blocked(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(POLL).await
                }
                done => break done?,
            }
        }
        names.push(migration.name.to_owned());
    }
    Ok(names)
}

async fn apply_alone(db: &DatabaseConnection, migration: &Migration) -> Result<()> {
    let tx = db.begin().await?;
    tx.execute_unprepared(LOCK_TIMEOUT).await?;
    migration.apply(&tx).await?;
    Ok(tx.commit().await?)
}

/// Begins the transaction. Another process may be migrating for longer than the timeout of a write.
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

fn missing(applied: &HashSet<String>) -> impl Iterator<Item = &'static Migration> {
    MIGRATIONS.iter().filter(|migration| !applied.contains(migration.name))
}

/// Takes the lock on a separate connection. Polls instead of waiting in the database: a waiting session holds a
/// snapshot, which would block a concurrent index build.
async fn lock(direct: &PgConnectOptions, timeout: Duration) -> Result<PgConnection> {
    let deadline = Instant::now() + timeout;
    let mut connection = direct.connect().await.map_err(conflict::unconnected)?;
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
            let message = format!("another process has been migrating the database for {} s", timeout.as_secs());
            return Err(Error::new(Kind::Unavailable, Reason::DatabaseUnavailable, message));
        }
        tokio::time::sleep(POLL).await;
    }
}
