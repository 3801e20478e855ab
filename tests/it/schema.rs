//! Migrations, and an unavailable database.

use std::time::Duration;

use futures::future::join_all;
use sea_orm::{ConnectionTrait, Database, Statement};
use tenantry::{
    base::{Kind, error::Reason},
    messaging::{MessagingSettings, clusters, rules::InfoInput, tenants},
    store::{Store, StoreConfig},
};
use tenantry_migrations::{MIGRATIONS, record};

use crate::db::{self, TestDb, eventually, platform_cx};

async fn open(url: &str) -> Store {
    let config = StoreConfig { acquire_timeout: Duration::from_millis(300), ..StoreConfig::new(url) };
    Store::open(config).await.expect("an open database")
}

/// Several replicas start concurrently on an empty database.
async fn race(url: &str) {
    let stores =
        join_all((0..6).map(|_| async { Store::open(StoreConfig::new(url)).await.expect("an open database") })).await;
    let known = stores[0].pending_migrations().await.unwrap();
    assert!(known.len() >= 3);
    let applied = join_all(stores.iter().map(|store| async {
        let mut told = Vec::new();
        let applied = store.migrate(|name| told.push(name.to_owned())).await.expect("a migration");
        assert_eq!(applied, told);
        applied
    }));
    let applied = applied.await;
    assert_eq!(applied.iter().filter(|names| **names == known).count(), 1, "{applied:?}");
    assert_eq!(applied.iter().filter(|names| names.is_empty()).count(), 5);
    for store in &stores {
        assert!(store.pending_migrations().await.unwrap().is_empty());
        assert_eq!(clusters::list(&platform_cx("x"), store).await.unwrap(), ["standalone"]);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_replicas_migrate_once_on_sqlite() {
    let (_dir, url) = db::sqlite_unmigrated();
    race(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_replicas_migrate_once_on_postgres() {
    race(&db::postgres_unmigrated().await).await;
}

#[tokio::test]
async fn a_replica_does_not_wait_forever_for_another_one_that_migrates() {
    let url = db::postgres_unmigrated().await;
    let other = Database::connect(&url).await.unwrap();
    let other = sea_orm::TransactionTrait::begin(&other).await.unwrap();
    let lock = i64::from_be_bytes(*b"tenantry");
    let lock =
        Statement::from_sql_and_values(other.get_database_backend(), "SELECT pg_advisory_lock($1)", [lock.into()]);
    other.execute_raw(lock).await.unwrap();
    let config = StoreConfig { migrate_timeout: Duration::from_millis(300), ..StoreConfig::new(&url) };
    let store = Store::open(config).await.unwrap();
    let error = store.migrate(|_| ()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.to_string().contains("another process has been migrating"), "{error}");
}

/// Writers lock the tenant before its accounts, and migrations change both tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_and_writes_of_older_servers_do_not_wait_for_each_other() {
    let url = db::postgres_unmigrated().await;
    let older = Database::connect(&url).await.unwrap();
    record::install(&older).await.unwrap();
    let (before, after) =
        MIGRATIONS.split_at(MIGRATIONS.iter().position(|next| next.name == "m20260101_000015_text").unwrap());
    for migration in before {
        let tx = sea_orm::TransactionTrait::begin(&older).await.unwrap();
        migration.apply(&tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    let write = sea_orm::TransactionTrait::begin(&older).await.unwrap();
    write.execute_unprepared("SELECT * FROM tenants FOR UPDATE").await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let newer = Store::open(StoreConfig::new(&url)).await.unwrap();
    let migrating = tokio::spawn(async move { newer.migrate(|name| tell.send(name.to_owned()).unwrap()).await });
    while told.recv().await.expect("the migration of the tenants") != "m20260101_000016_list_key" {}
    let waiting = "SELECT 1 FROM pg_locks WHERE relation = 'tenants'::regclass AND NOT granted";
    eventually("the migration to wait for the tenants", || async {
        let waiting = Statement::from_string(older.get_database_backend(), waiting);
        older.query_one_raw(waiting).await.unwrap().is_some()
    })
    .await;
    write
        .execute_unprepared("UPDATE accounts SET display_name = display_name")
        .await
        .expect("a write without a deadlock");
    write.commit().await.unwrap();
    assert_eq!(migrating.await.unwrap().expect("a migration").len(), after.len());
}

both_databases! {
    async fn an_older_program_runs_on_a_newer_schema(db: TestDb) {
        crate::db::write(&db, &platform_cx("x"), |tx| {
            Box::pin(async move {
                let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_newer', 0)";
                tx.conn().execute_unprepared(newer).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
        let store = db.replica().await;
        assert!(store.pending_migrations().await.unwrap().is_empty());
        assert!(store.migrate(|_| ()).await.unwrap().is_empty());
    }

    async fn a_database_outage_is_reported_and_ends(db: TestDb) {
        let store = open(&db.url).await;
        create(&store, "before").await.expect("a write before the outage");
        let away = Away::begin(&db).await;
        let error = create(&store, "meanwhile").await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::DatabaseUnavailable));
        assert_eq!(error.to_string(), "the database is unavailable; retry later");
        if !db.is_sqlite() {
            let error = store.ping().await.unwrap_err();
            assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::DatabaseUnavailable));
            let read = tenants::get(&platform_cx("x"), &store, "before").await;
            assert_eq!(read.unwrap_err().kind, Kind::Unavailable);
        }
        away.end().await;
        eventually("the store works again", || async { create(&store, "after").await.is_ok() }).await;
        store.ping().await.expect("a responding database");
        let names = tenants::list(&platform_cx("x"), &store).await.unwrap().all().await.unwrap();
        assert_eq!(names, ["after", "before"], "a refused write must have no effect");
    }
}

async fn create(store: &Store, name: &str) -> Result<(), tenantry::base::Error> {
    let info = InfoInput { admin_roles: None, allowed_clusters: Some(vec!["standalone".to_owned()]) };
    let cx = platform_cx("tenant.create");
    tenants::create(&cx, store, &MessagingSettings::default(), name, Some(&info)).await.map(drop)
}

/// An unavailable database: on PostgreSQL its sessions are terminated and new ones refused, as in a restart; on
/// SQLite another process holds the write lock.
enum Away {
    Sqlite(sea_orm::DatabaseTransaction),
    Postgres(String),
}

impl Away {
    async fn begin(db: &TestDb) -> Self {
        if db.is_sqlite() {
            let other = Database::connect(&db.url).await.unwrap();
            let writing = sea_orm::TransactionTrait::begin(&other).await.unwrap();
            writing.execute_unprepared("UPDATE clusters SET updated_at = 0").await.unwrap();
            return Self::Sqlite(writing);
        }
        let name = db.url.rsplit_once('/').unwrap().1.to_owned();
        let admin = db::admin().await;
        admin.execute_unprepared(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        admin.execute_unprepared(&end).await.unwrap();
        Self::Postgres(name)
    }

    async fn end(self) {
        match self {
            Self::Sqlite(writing) => writing.rollback().await.unwrap(),
            Self::Postgres(name) => {
                let admin = db::admin().await;
                admin.execute_unprepared(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn invalid_database_urls_are_refused_without_repeating_them() {
    for url in
        ["mysql://u:secret@h/d", "postgres://u:secret@h:notaport/d", "sqlite::memory:", "sqlite:file?mode=memory"]
    {
        let error = Store::open(StoreConfig::new(url)).await.unwrap_err();
        assert_eq!(error.kind, Kind::InvalidArgument, "{url}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let error = Store::open(StoreConfig::new("sqlite:/nowhere/at/all.db")).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::DatabaseUnavailable));
    let error = Store::open(StoreConfig::new("postgres://u:secret@127.0.0.1:1/d")).await.unwrap_err();
    assert_eq!(error.reason, Reason::DatabaseUnavailable);
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_file_is_accessible_only_to_its_owner() {
    let (dir, url) = db::sqlite_unmigrated();
    let store = Store::open(StoreConfig::new(&url)).await.unwrap();
    store.migrate(|_| ()).await.unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.unwrap().metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
