//! Transactions that fail, at each place.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectionTrait, Statement};
use tenantry::{
    base::{Kind, Result, error::Reason},
    store::{Store, Tx, execute},
};

use super::{LONG, insert, number, rows, write};
use crate::db::{self, TestDb, eventually, platform_cx};

/// Makes every insert into a table fail with a code, while there is a row with the payload `fail`.
async fn fail_inserts(db: &TestDb, table: &str, code: &str) {
    for sql in [
        format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM nextval('attempts'); RAISE EXCEPTION 'a secret text' USING ERRCODE = '{code}'; END $$"
        ),
        "CREATE SEQUENCE attempts".to_owned(),
        format!("CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fail()"),
    ] {
        db.read().execute_unprepared(&sql).await.unwrap();
    }
}

/// The store continues, and no session of it is inside a transaction.
async fn works(db: &TestDb) {
    write(&db.store, "works").await.unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    eventually("no session is inside a transaction", || async { number(db.read(), open).await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_event_rolls_back_the_write_it_is_committed_with() {
    for table in ["audit_events", "outbox"] {
        let db = db::postgres().await;
        write(&db.store, "first").await.unwrap();
        fail_inserts(&db, table, "P0001").await;
        let error = write(&db.store, "second").await.unwrap_err();
        assert_eq!((error.kind, error.to_string().as_str()), (Kind::Internal, "internal error"), "{table}");
        assert_eq!(rows(db.read(), "second").await, (0, 1, 1), "{table}");
        db.read().execute_unprepared(&format!("DROP TRIGGER fail ON {table}")).await.unwrap();
        works(&db).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_retried_when_an_event_fails_to_serialize() {
    let db = db::postgres().await;
    fail_inserts(&db, "outbox", "40001").await;
    let error = write(&db.store, "second").await.unwrap_err();
    assert_eq!(error.kind, Kind::Internal, "{error:?}");
    assert_eq!(number(db.read(), "SELECT last_value FROM attempts").await, 6, "attempts");
    assert_eq!(rows(db.read(), "second").await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_violation_at_commit_is_reported_and_rolled_back() {
    let db = db::postgres().await;
    let deferred = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        RAISE EXCEPTION 'late' USING ERRCODE = '57014'; END $$; \
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON clusters DEFERRABLE INITIALLY DEFERRED \
        FOR EACH ROW EXECUTE FUNCTION refuse()";
    db.read().execute_unprepared(deferred).await.unwrap();
    let error = write(&db.store, "second").await.unwrap_err();
    assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::DatabaseUnavailable), "{error:?}");
    assert_eq!(rows(db.read(), "second").await, (0, 0, 0));
    db.read().execute_unprepared("DROP TRIGGER late ON clusters").await.unwrap();
    works(&db).await;
}

/// A write whose function ignores a failed statement.
async fn ignoring(store: &Store, statement: &'static str, wait: Option<Duration>) -> Result<()> {
    let cx = platform_cx("cluster.create");
    let write = crate::db::write(store, &cx, move |tx: &Tx| {
        Box::pin(async move {
            insert(tx, "second").await?;
            let run = execute(tx.conn(), Statement::from_string(tx.backend(), statement));
            match wait {
                Some(wait) => assert!(tokio::time::timeout(wait, run).await.is_err(), "it must be dropped"),
                None => assert!(run.await.is_err(), "it must fail"),
            }
            Ok(())
        })
    });
    tokio::time::timeout(LONG, write).await.expect("the write does not end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_ignores_a_failed_statement_is_not_committed() {
    let db = db::postgres().await;
    let error = ignoring(&db.store, "SELECT 1 / 0", None).await.unwrap_err();
    assert_eq!(error.kind, Kind::Internal);
    assert_eq!(rows(db.read(), "second").await, (0, 0, 0));
    works(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_drops_a_statement_is_not_committed() {
    let db = db::postgres().await;
    let error = ignoring(&db.store, "SELECT pg_sleep(1)", Some(Duration::from_millis(100))).await.unwrap_err();
    assert_eq!(error.kind, Kind::Internal);
    assert_eq!(rows(db.read(), "second").await, (0, 0, 0));
    works(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_runs_after_a_statement_that_failed_before_begin_was_sent() {
    let db = db::postgres().await;
    let cx = platform_cx("cluster.create");
    let write = crate::db::write(&db.store, &cx, |tx: &Tx| {
        Box::pin(async move {
            // It cannot be prepared, so nothing of the transaction was sent.
            let unknown = Statement::from_string(tx.backend(), "SELECT 1 FROM nowhere");
            assert!(execute(tx.conn(), unknown).await.is_err());
            let table = Statement::from_string(tx.backend(), "CREATE TABLE committed (a int)");
            assert!(execute(tx.conn(), table).await.is_err());
            Ok(())
        })
    });
    assert!(tokio::time::timeout(LONG, write).await.expect("the write does not end").is_err());
    assert_eq!(number(db.read(), "SELECT count(*) FROM pg_tables WHERE tablename = 'committed'").await, 0);
    works(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writes_of_the_same_rows_are_retried() {
    let db = db::postgres().await;
    db.read()
        .execute_unprepared("CREATE TABLE twice (id int PRIMARY KEY, n int); INSERT INTO twice VALUES (1, 0), (2, 0)")
        .await
        .unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let writes = (0..8).map(|n| {
        let (store, attempts) = (db.store.clone(), Arc::clone(&attempts));
        tokio::spawn(async move {
            let cx = platform_cx("cluster.create");
            crate::db::write(&store, &cx, move |tx: &Tx| {
                attempts.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move {
                    // Half of them in the other order: they wait for each other.
                    for id in if n % 2 == 0 { [1, 2] } else { [2, 1] } {
                        let sql = format!("UPDATE twice SET n = n + 1 WHERE id = {id}");
                        execute(tx.conn(), Statement::from_string(tx.backend(), sql)).await?;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Ok(())
                })
            })
            .await
        })
    });
    let done = tokio::time::timeout(4 * LONG, futures::future::join_all(writes)).await.expect("they end");
    let done = done.into_iter().filter(|write| matches!(write, Ok(Ok(())))).count();
    assert!(attempts.load(Ordering::Relaxed) > 8, "no deadlock happened");
    assert_eq!(number(db.read(), "SELECT sum(n)::bigint FROM twice").await, 2 * done as i64);
    assert_eq!(number(db.read(), "SELECT count(*) FROM audit_events").await, done as i64);
}
