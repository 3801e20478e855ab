//! What is sent without waiting for a reply.

use tenantry::store::{Store, StoreConfig, execute};

use super::{number, rows, tap::Tap, write};
use crate::db;

/// A store with one connection, so that its statements are prepared after the first write.
async fn store(tap: &Tap, parameter: &str) -> Store {
    let url = format!("{}{parameter}", tap.url());
    Store::open(StoreConfig { max_connections: 1, ..StoreConfig::new(url) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_sends_begin_with_its_first_statement_and_its_events_with_commit() {
    let db = db::postgres().await;
    let tap = Tap::to(&db.url).await;
    let store = store(&tap, "").await;
    write(&store, "first").await.unwrap();
    tap.take();
    write(&store, "second").await.unwrap();
    assert_eq!(tap.take(), [vec!["BEGIN", "Bind"], vec!["Bind", "Bind", "COMMIT"]]);
    assert_eq!(rows(db.read(), "second").await, (1, 2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_prepared_statements_every_statement_is_one_flight() {
    let db = db::postgres().await;
    let tap = Tap::to(&db.url).await;
    let store = store(&tap, "&statement-cache-capacity=0").await;
    tap.take();
    write(&store, "first").await.unwrap();
    assert_eq!(tap.take(), [vec!["BEGIN", "Parse", "Bind"], vec!["Parse", "Bind", "Parse", "Bind", "COMMIT"]]);
    execute(store.read(), sea_orm::Statement::from_string(store.backend(), "SELECT 1")).await.unwrap();
    assert_eq!(tap.take(), [vec!["Parse", "Bind"]]);
    let prepared = sea_orm::Statement::from_string(store.backend(), "SELECT name FROM pg_prepared_statements");
    assert_eq!(execute(store.read(), prepared).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_reply_is_lost_is_reported_as_unknown_and_not_repeated() {
    let db = db::postgres().await;
    let tap = Tap::to(&db.url).await;
    let store = store(&tap, "").await;
    write(&store, "first").await.unwrap();
    tap.lose_commit();
    let error = write(&store, "second").await.unwrap_err();
    assert_eq!(error.kind, tenantry::base::Kind::Unavailable, "{error:?}");
    assert_eq!(error.to_string(), "the database is unavailable; retry later");
    // This one was committed. A second attempt would have violated the unique name, or added events.
    assert_eq!(rows(db.read(), "second").await, (1, 2, 2));
    write(&store, "third").await.unwrap();
    assert_eq!(number(db.read(), "SELECT count(*) FROM outbox").await, 3);
}
