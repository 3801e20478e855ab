//! A database created by a released program can be opened, and later migrations bring it to the schema of a fresh one.
//!
//! `tests/data/schema` has dumps of such databases, from a program in which SeaORM's migrator ran the migrations.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use tenantry::store::{Store, StoreConfig};
use tenantry_migrations::MIGRATIONS;

use crate::db::{self, TestDb};

pub const SQLITE: &str = include_str!("../data/schema/sqlite.sql");
pub const POSTGRES: &str = include_str!("../data/schema/postgres.sql");

/// The applied migrations, with their times.
const RECORD: &str =
    "SELECT version || ' ' || applied_at FROM seaql_migrations WHERE applied_at = 1767225600 ORDER BY 1";
/// The complete SQLite schema.
pub const SQLITE_SHAPE: &str = "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1";
/// The complete PostgreSQL schema.
pub const POSTGRES_SHAPE: &str = "\
    SELECT concat_ws(' ', table_name, ordinal_position, column_name, data_type, is_nullable, column_default, collation_name) \
        FROM information_schema.columns WHERE table_schema = 'public' \
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
    UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) \
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace \
    UNION ALL SELECT concat_ws(' ', sequencename, data_type, increment_by) FROM pg_sequences WHERE schemaname = 'public' \
    ORDER BY 1";

pub async fn lines(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn opens_as_it_is(url: &str, dump: &str, fresh: TestDb, shape: &str) {
    let create = if fresh.is_sqlite() { "?mode=rwc" } else { "" };
    let older = Database::connect(format!("{url}{create}")).await.unwrap();
    older.execute_unprepared(dump).await.expect("importing the dump");
    older.close().await.unwrap();
    let older = Database::connect(url).await.unwrap();
    let record = lines(&older, RECORD).await;
    assert_eq!(record.len(), 16);

    let store = Store::open(StoreConfig::new(url)).await.unwrap();
    let (applied, later) = MIGRATIONS.split_at(record.len());
    let names = |migrations: &[tenantry_migrations::Migration]| migrations.iter().map(|m| m.name).collect::<Vec<_>>();
    assert!(record.iter().zip(names(applied)).all(|(row, name)| *row == format!("{name} 1767225600")), "{record:?}");
    assert_eq!(store.pending_migrations().await.unwrap(), names(later));
    assert_eq!(store.migrate(|_| ()).await.unwrap(), names(later));
    store.close().await;

    assert_eq!(lines(&older, RECORD).await, record);
    let fresh = Database::connect(&fresh.url).await.unwrap();
    assert_eq!(lines(&older, shape).await, lines(&fresh, shape).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_database_opens_as_it_is_on_sqlite() {
    let (_dir, url) = db::sqlite_unmigrated();
    opens_as_it_is(&url, SQLITE, db::sqlite().await, SQLITE_SHAPE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_database_opens_as_it_is_on_postgres() {
    opens_as_it_is(&db::postgres_unmigrated().await, POSTGRES, db::postgres().await, POSTGRES_SHAPE).await;
}
