//! The connections: what a dropped read, a closed connection and a full pool leave.

use std::time::Duration;

use futures::future::join_all;
use sea_orm::{ConnectionTrait, Statement};
use tenantry::{
    base::{Kind, Result},
    store::{Store, StoreConfig, execute},
};

use super::{LONG, number, write};
use crate::db::{self, TestDb, eventually};

async fn store(url: &str, max_connections: u32) -> Store {
    let config = StoreConfig { max_connections, acquire_timeout: Duration::from_secs(2), ..StoreConfig::new(url) };
    Store::open(config).await.unwrap()
}

async fn run(store: &Store, sql: &str) -> Result<u64> {
    let statement = Statement::from_string(store.backend(), sql);
    let running = execute(store.read(), statement);
    Ok(tokio::time::timeout(LONG, running).await.expect("it ends")?)
}

/// The sessions of this database, without those of SeaORM, which read this number.
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name = 'tenantry' AND pid <> pg_backend_pid() AND query NOT LIKE '%pg_stat_activity%'";

/// Waits until a session runs a statement with this text.
async fn runs(db: &TestDb, text: &str) {
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
         AND query LIKE '%{text}%' AND pid <> pg_backend_pid()"
    );
    eventually("the statement to run", || async { number(db.read(), &sessions).await > 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_reads_leave_usable_connections() {
    let db = db::postgres().await;
    let store = store(&db.url, 2).await;
    for _ in 0..20 {
        let reads = (0..4).map(|_| async {
            let slow = Statement::from_string(store.backend(), "SELECT pg_sleep(0.1)");
            let read = execute(store.read(), slow);
            assert!(tokio::time::timeout(Duration::from_millis(3), read).await.is_err());
        });
        join_all(reads).await;
        let numbers = (1..=4).map(|n| {
            let store = &store;
            async move { run(store, &format!("SELECT generate_series(1, {n})")).await.unwrap() }
        });
        assert_eq!(join_all(numbers).await, [1, 2, 3, 4], "a reply belongs to another statement");
    }
    // All of them used the same two connections.
    let pids = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%generate_series%' \
        AND pid <> pg_backend_pid()";
    assert!(number(db.read(), pids).await <= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_closed_are_replaced_before_they_are_used() {
    let db = db::postgres().await;
    let store = store(&db.url, 4).await;
    for round in 0..3 {
        let statements = (0..4).map(|_| run(&store, "SELECT pg_sleep(0.05)"));
        assert!(join_all(statements).await.iter().all(Result::is_ok));
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        db.read().execute_unprepared(others).await.unwrap();
        // Until the ends of the sockets have arrived, which only the use of a connection would show.
        tokio::time::sleep(Duration::from_millis(200)).await;
        run(&store, "SELECT 1").await.unwrap();
        write(&store, &format!("round-{round}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_closed_during_a_statement_fails_the_call_as_an_outage() {
    let db = db::postgres().await;
    let store = store(&db.url, 1).await;
    let slow = run(&store, "SELECT pg_sleep(30)");
    let kill = async {
        let slow = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()";
        runs(&db, "pg_sleep(30)").await;
        db.read().execute_unprepared(slow).await.unwrap();
    };
    let (failed, ()) = tokio::join!(slow, kill);
    assert_eq!(failed.unwrap_err().kind, Kind::Unavailable);
    run(&store, "SELECT 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_connection_for_a_limited_time() {
    let db = db::postgres().await;
    let store = store(&db.url, 1).await;
    let (held, refused) = tokio::join!(run(&store, "SELECT pg_sleep(4)"), async {
        runs(&db, "pg_sleep(4)").await;
        run(&store, "SELECT 1").await
    });
    assert_eq!(refused.unwrap_err().kind, Kind::Unavailable);
    held.unwrap();
    run(&store, "SELECT 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_keeps_a_limited_number_of_statements() {
    let db = db::postgres().await;
    let store = store(&db.url, 1).await;
    for n in 0..150 {
        run(&store, &format!("SELECT {n}")).await.unwrap();
    }
    assert_eq!(run(&store, "SELECT name FROM pg_prepared_statements").await.unwrap(), 100);
    // A statement is prepared again after the table has changed.
    db.read().execute_unprepared("CREATE TABLE t (a int)").await.unwrap();
    run(&store, "SELECT * FROM t").await.unwrap();
    db.read().execute_unprepared("ALTER TABLE t ADD COLUMN b int").await.unwrap();
    let _ = run(&store, "SELECT * FROM t").await;
    run(&store, "SELECT * FROM t").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_store_leaves_no_session() {
    let db = db::postgres().await;
    let store = store(&db.url, 4).await;
    join_all((0..4).map(|_| run(&store, "SELECT pg_sleep(0.05)"))).await;
    store.close().await;
    db.store.close().await;
    let admin = sea_orm::Database::connect(&db.url).await.unwrap();
    assert_eq!(number(&admin, SESSIONS).await, 0);
    let closed = run(&store, "SELECT 1").await.unwrap_err();
    assert_eq!(closed.kind, Kind::Unavailable);
}
