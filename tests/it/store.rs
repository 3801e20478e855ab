//! Writes and their effects.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, PaginatorTrait, QueryOrder, Statement};
use tenantry::{
    base::{Clock, Cx, Error, Kind, Result, cx::CxFacts, error::Reason},
    store::{
        Stamp, Store, StoreConfig, Tx, UpdateRow, in_write,
        tables::{audit_events, clusters, outbox},
    },
};

use crate::{
    db::{TestDb, eventually, platform_cx},
    rows::insert_cluster as insert,
};

async fn write(store: &Store, name: &str) -> Result<()> {
    let name = name.to_owned();
    crate::db::write(store, &platform_cx("cluster.create"), move |tx| {
        let name = name.clone();
        Box::pin(async move { insert(tx, &name).await })
    })
    .await
}

async fn names(store: &Store) -> Vec<String> {
    let rows = clusters::Entity::find().order_by_asc(clusters::Column::Name).all(store.orm()).await.expect("a read");
    rows.into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn a_replaced_database_file_is_noticed() {
    let db = crate::db::sqlite().await;
    write(&db, "one").await.unwrap();
    let file = db.url.strip_prefix("sqlite:").unwrap();
    let away = format!("{file}.away");
    let refused = async || {
        for outcome in [db.ping().await, write(&db, "lost").await] {
            assert_eq!(outcome.unwrap_err().kind, Kind::Unavailable);
        }
    };
    std::fs::rename(file, &away).unwrap();
    refused().await;
    std::fs::write(file, "").unwrap();
    refused().await;
    std::fs::rename(&away, file).unwrap();
    db.ping().await.unwrap();
    write(&db, "two").await.unwrap();
    assert_eq!(names(&db).await, ["one", "standalone", "two"]);
}

/// Fails if a session of the database stays inside a transaction. On SQLite such a session would block all
/// other writers.
async fn no_transaction_is_open(db: &TestDb) {
    if db.is_sqlite() {
        crate::db::write(&db.store, &platform_cx("x"), |_| Box::pin(async { Ok(()) }))
            .await
            .expect("a write by another connection");
        return;
    }
    let open = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    eventually("no session sits inside a transaction", || async {
        let question = Statement::from_string(db.backend(), open);
        let row = db.read().query_one_raw(question).await.expect("a read").expect("a row");
        row.try_get_by_index::<i64>(0).expect("a number") == 0
    })
    .await;
}

both_databases! {
    async fn a_write_leaves_row_audit_and_event(db: TestDb) {
        write(&db, "east").await.expect("a write");
        assert_eq!(names(&db).await, ["east", "standalone"]);
        let audit = audit_events::Entity::find().all(db.read()).await.expect("a read");
        assert_eq!(audit.len(), 1);
        let event = &audit[0];
        assert_eq!((event.action.as_str(), event.target.as_str()), ("cluster.create", "from the request"));
        assert_eq!((event.caller_subject.as_str(), event.caller_role.as_str()), ("root", "platform_admin"));
        assert_eq!((event.outcome.as_str(), event.request_id.as_str(), event.details.as_str()), ("success", "req-1", r#"{"client":"unknown"}"#));
        let events = outbox::Entity::find().all(db.read()).await.expect("a read");
        assert_eq!((events.len(), events[0].key.as_str(), events[0].payload.as_str()), (1, "east", r#"{"change":"created"}"#));
    }

    async fn a_failed_write_leaves_nothing(db: TestDb) {
        let failed: Result<()> = crate::db::write(&db, &platform_cx("cluster.create"), |tx| {
                Box::pin(async move {
                    insert(tx, "east").await?;
                    Err(Error::precondition(Reason::ClusterInUse, "no"))
                })
            })
            .await;
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(names(&db).await, ["standalone"]);
        assert_eq!(audit_events::Entity::find().count(db.read()).await.unwrap(), 0);
        assert_eq!(outbox::Entity::find().count(db.read()).await.unwrap(), 0);
    }

    async fn a_write_without_an_audit_event_is_not_committed(db: TestDb) {
        let facts = CxFacts { audit_action: None, ..CxFacts::clone(&platform_cx("x")) };
        let cx = Cx::new(facts);
        let failed = crate::db::write(&db, &cx, |tx| Box::pin(async move { insert(tx, "east").await })).await;
        assert_eq!(failed.unwrap_err().kind, Kind::Internal);
        assert_eq!(names(&db).await, ["standalone"]);
        crate::db::write(&db, &cx, |tx| {
            Box::pin(async move {
                tx.audit_only(None, "named", serde_json::Value::Null);
                insert(tx, "east").await
            })
        })
        .await
        .expect("a write with its own audit event");
        let audit = audit_events::Entity::find().one(db.read()).await.unwrap().unwrap();
        assert_eq!((audit.action.as_str(), audit.target.as_str()), ("/test/Call", "named"));
    }

    async fn a_panic_is_an_internal_error_and_affects_no_other_write(db: TestDb) {
        let cx = platform_cx("x");
        let panics = crate::db::write(&db, &cx, |tx| {
            Box::pin(async move {
                insert(tx, "broken").await?;
                panic!("a panic for the test")
            })
        });
        let (panicked, neighbour): (Result<()>, _) = tokio::join!(panics, write(&db, "east"));
        assert_eq!(panicked.unwrap_err().kind, Kind::Internal);
        neighbour.expect("a commit of the concurrent write");
        assert_eq!(names(&db).await, ["east", "standalone"]);
    }

    async fn one_of_many_conflicting_writes_wins(db: TestDb) {
        let outcomes = join_all((0..32).map(|_| write(&db, "east"))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for error in outcomes.into_iter().filter_map(Result::err) {
            assert_eq!((error.kind, error.reason), (Kind::AlreadyExists, Reason::ClusterExists));
        }
        assert_eq!(audit_events::Entity::find().count(db.read()).await.unwrap(), 1);
    }

    async fn a_failing_write_in_a_group_neither_loses_nor_repeats_others(db: TestDb) {
        for round in 0..4 {
            let writes = (0..64).map(|number| {
                let store = db.store.clone();
                let name = if number % 2 == 0 { "standalone".to_owned() } else { format!("c{round}-{number}") };
                tokio::spawn(async move { write(&store, &name).await })
            });
            for (number, outcome) in join_all(writes).await.into_iter().enumerate() {
                assert_eq!(outcome.unwrap().is_ok(), number % 2 == 1);
            }
        }
        assert_eq!(names(&db).await.len(), 1 + 4 * 32);
        assert_eq!(audit_events::Entity::find().count(db.read()).await.unwrap(), 4 * 32);
        assert_eq!(outbox::Entity::find().count(db.read()).await.unwrap(), 4 * 32);
    }

    async fn many_concurrent_writes_all_commit(db: TestDb) {
        let writes = (0..200).map(|number| {
            let store = db.store.clone();
            tokio::spawn(async move { write(&store, &format!("c{number}")).await })
        });
        for outcome in join_all(writes).await {
            outcome.unwrap().expect("a write");
        }
        assert_eq!(names(&db).await.len(), 201);
        assert_eq!(audit_events::Entity::find().count(db.read()).await.unwrap(), 200);
    }

    async fn a_dropped_future_leaves_the_pool_usable(db: TestDb) {
        // One connection, already open, so that the first poll of a write sends BEGIN.
        let config = StoreConfig { max_connections: 1, ..StoreConfig::new(&db.url) };
        let store = Store::open(config).await.expect("an open database");
        for polls in 0..40_u32 {
            write(&store, &format!("warm{polls}")).await.expect("a write");
            let name = format!("dropped{polls}");
            let mut writing = Box::pin(write(&store, &name));
            for _ in 0..polls {
                if (&mut writing).now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(writing);
            store.ping().await.expect("a usable connection");
            no_transaction_is_open(&db).await;
        }
        // What this pool reports as written is visible through another one.
        let outcomes = join_all((0..32).map(|number| {
            let store = store.clone();
            async move { write(&store, &format!("after{number}")).await }
        }));
        assert!(outcomes.await.iter().all(Result::is_ok));
        assert_eq!(names(&db).await.iter().filter(|name| name.starts_with("after")).count(), 32);
    }

    async fn a_retry_sees_a_new_transaction(db: TestDb) {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let value = crate::db::write(&db, &platform_cx("x"), move |tx| {
                let run = counted.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move {
                    insert(tx, &format!("run{run}")).await?;
                    if run == 0 && tx.backend() == sea_orm::DbBackend::Postgres {
                        let raise = "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$";
                        tx.conn().execute_unprepared(raise).await?;
                    }
                    Ok(run)
                })
            })
            .await
            .expect("a commit of the second attempt");
        let expected = if db.is_sqlite() { 0 } else { 1 };
        assert_eq!((value, runs.load(Ordering::Relaxed)), (expected, expected + 1));
        assert_eq!(names(&db).await, [format!("run{expected}"), "standalone".to_owned()]);
        assert_eq!(outbox::Entity::find().count(db.read()).await.unwrap(), 1);
    }

    async fn code_inside_a_write_can_detect_it(db: TestDb) {
        assert!(!in_write());
        let cx = platform_cx("x");
        let inside = async |tx: &Tx, (): &()| {
            tx.conn().execute_unprepared("SELECT 1").await?;
            // A spawned task is not part of the write.
            let elsewhere = tokio::spawn(async { in_write() }).await;
            Ok((in_write(), elsewhere.map_err(tenantry::base::Error::internal)?))
        };
        assert_eq!(db.write(&cx, (), inside).await.unwrap(), (true, false));
        let failed = db.write(&cx, (), async |_: &Tx, (): &()| Err::<(), _>(Error::internal("no"))).await;
        assert!(failed.is_err() && !in_write());
    }

    async fn the_input_of_a_write_outlives_its_runs(db: TestDb) {
        let dropped = Arc::new(AtomicU32::new(0));
        struct Input(Arc<AtomicU32>);
        impl Drop for Input {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let seen = async |tx: &Tx, input: &Input| {
            tx.conn().execute_unprepared("SELECT 1").await?;
            Ok(input.0.load(Ordering::Relaxed))
        };
        assert_eq!(db.write(&platform_cx("x"), Input(Arc::clone(&dropped)), seen).await.unwrap(), 0);
    }

    async fn a_closed_store_is_unavailable(db: TestDb) {
        db.close().await;
        let error = write(&db, "east").await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::DatabaseUnavailable));
        assert_eq!(db.ping().await.unwrap_err().kind, Kind::Unavailable);
    }

    async fn times_are_read_back_unchanged(db: TestDb) {
        let now = Clock::system().now();
        crate::db::write(&db, &platform_cx("x"), move |tx| Box::pin(async move {
            insert(tx, "east").await?;
            let row = clusters::ActiveModel {
                name: Set("east".to_owned()),
                created_at: Set(Stamp::from(now)),
                ..Default::default()
            };
            row.update_row(tx.conn()).await?;
            Ok(())
        }))
        .await
        .expect("a write");
        let row = clusters::Entity::find_by_id("east").one(db.read()).await.unwrap().unwrap();
        assert_eq!(row.created_at.time(), now);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_opens_of_a_new_file_all_succeed() {
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("new.db").display());
        let open = || tokio::spawn(Store::open(StoreConfig::new(&url)));
        for opened in join_all((0..8).map(|_| open())).await {
            let store = opened.unwrap().unwrap_or_else(|error| panic!("round {round}: {error:?}"));
            store.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_waits_for_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("new.db").display());
    let config = || StoreConfig { acquire_timeout: Duration::from_millis(500), ..StoreConfig::new(&url) };
    let (busy, waiting) = (Store::open(config()).await.unwrap(), Store::open(config()).await.unwrap());
    let (begun, started) = tokio::sync::oneshot::channel();
    let working = tokio::spawn(async move {
        let mut begun = Some(begun);
        let done = busy.migrate(|_| {
            if let Some(begun) = begun.take() {
                begun.send(()).unwrap();
                // Longer than a write waits.
                std::thread::sleep(Duration::from_millis(1500));
            }
        });
        assert!(!done.await.unwrap().is_empty());
    });
    started.await.unwrap();
    assert_eq!(
        waiting.migrate(|_| ()).await.unwrap(),
        Vec::<String>::new(),
        "the other one must have run all migrations"
    );
    working.await.unwrap();
}
