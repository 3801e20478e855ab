//! Background jobs: which server runs them, their status, and the pruning of the outbox.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::Value;
use tenantry::{
    base::{Clock, Result},
    jobs::{
        Job, Jobs, Placement, Report, Run, Schedule, State, StatusBoard, record,
        store::{outbox_retention::PruneOutbox, relay::Relay},
    },
    store::{
        Change, ChangeKind, Resource, Stamp, Store, StoreConfig, Tx,
        outbox_retention::{self, Pruned, pruned_through},
        tables::{jobs, outbox, outbox_marks},
    },
};
use time::{OffsetDateTime, macros::datetime};

use crate::{
    db::{self, TestDb, platform_cx},
    harness::{
        PATIENCE, eventually, golden,
        server::{Server, Setup},
    },
    rows::sql,
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Writes events and numbers them.
async fn emit(db: &TestDb, events: u32) {
    write(db, events).await;
    Relay::new(db).step(&Run::unleased()).await.unwrap();
}

async fn write(store: &Store, events: u32) {
    store.write(&platform_cx("test.emit"), events, write_in).await.unwrap();
}

async fn write_in(tx: &Tx, events: &u32) -> Result<()> {
    for number in 0..*events {
        tx.also_changed(Change::new(Resource::Cluster, ChangeKind::Updated, number.to_string()));
    }
    Ok(())
}

async fn prune_in(tx: &Tx, most: &u32) -> Result<Pruned> {
    outbox_retention::prune(tx, WEEK, *most).await
}

/// Makes the outbox older: shifts its recorded times into the past.
async fn age(db: &TestDb, days: i64) {
    sql(db, format!("UPDATE outbox_marks SET at = at - {}", days * 86_400_000_000)).await.unwrap();
}

async fn prune(store: &Store) -> Report {
    PruneOutbox::new(store, WEEK).run(&Run::unleased()).await.unwrap()
}

async fn revisions(db: &TestDb) -> Vec<Option<i64>> {
    let rows = outbox::Entity::find().order_by_asc(outbox::Column::Revision).all(db.read()).await.unwrap();
    rows.into_iter().map(|row| row.revision).collect()
}

fn range(revisions: std::ops::RangeInclusive<i64>) -> Vec<Option<i64>> {
    revisions.map(Some).collect()
}

both_databases! {
    async fn events_are_deleted_after_the_retention_period(db: TestDb) {
        assert_eq!(prune(&db).await, Report::done(0), "nothing was ever written");
        emit(&db, 10).await;
        assert_eq!(prune(&db).await, Report::done(0));
        age(&db, 6).await;
        emit(&db, 3).await;
        assert_eq!(prune(&db).await, Report::done(0), "no event is old enough");
        assert_eq!((pruned_through(&db).await.unwrap(), revisions(&db).await), (0, range(1..=13)));
        age(&db, 2).await;
        assert_eq!(prune(&db).await, Report::done(10), "the events of eight days ago");
        assert_eq!((pruned_through(&db).await.unwrap(), revisions(&db).await), (10, range(11..=13)));
        assert_eq!(prune(&db).await, Report::done(0), "a second run deleted events");
        assert_eq!(outbox_marks::Entity::find().count(db.read()).await.unwrap(), 2, "marks must be deleted with their events");
    }

    async fn the_newest_event_is_kept_and_the_numbering_continues(db: TestDb) {
        emit(&db, 5).await;
        prune(&db).await;
        age(&db, 30).await;
        assert_eq!(prune(&db).await, Report::done(4));
        assert_eq!((pruned_through(&db).await.unwrap(), revisions(&db).await), (4, range(5..=5)));
        assert_eq!(prune(&db).await, Report::done(0));
        emit(&db, 2).await;
        assert_eq!(revisions(&db).await, range(5..=7), "revisions must not be reused");
    }

    async fn events_without_a_number_are_not_deleted(db: TestDb) {
        emit(&db, 3).await;
        prune(&db).await;
        age(&db, 30).await;
        // On SQLite the writer numbers immediately.
        write(&db, 2).await;
        let waiting = if db.is_sqlite() { 0 } else { 2 };
        prune(&db).await;
        let left = outbox::Entity::find().filter(outbox::Column::Revision.is_null()).count(db.read()).await.unwrap();
        assert_eq!(left, waiting);
        Relay::new(&db).step(&Run::unleased()).await.unwrap();
        let kept = if db.is_sqlite() { range(4..=5) } else { range(3..=5) };
        assert_eq!(revisions(&db).await, kept);
    }

    async fn a_batch_is_bounded_and_reports_remaining_work(db: TestDb) {
        emit(&db, 11).await;
        prune(&db).await;
        age(&db, 8).await;
        let mut batches = Vec::new();
        for through in [4, 8, 10, 10] {
            let pruned = db.write(&platform_cx("x"), 4, prune_in).await.unwrap();
            batches.push((pruned.events, pruned.more));
            assert_eq!(pruned_through(&db).await.unwrap(), through);
        }
        assert_eq!(batches, [(4, true), (4, true), (2, false), (0, false)]);
        assert_eq!(Pruned::default(), Pruned { events: 0, more: false });
    }

    async fn a_job_runs_once_for_all_servers_when_it_is_due(db: TestDb) {
        let replica = db.replica().await;
        let runs = Arc::new(AtomicU32::new(0));
        let servers = [&db.store, &replica].map(|store| {
            let board = StatusBoard::default();
            let mut jobs = Jobs::new(store, board.clone());
            jobs.start(Counted(runs.clone()));
            (jobs, board)
        });
        let looked = |board: &StatusBoard| board.of(Counted::NAME).is_some_and(|job| job.state == State::Idle && job.next_run.is_some());
        eventually("both servers to know when it is due", async || servers.iter().all(|(_, board)| looked(board)).then_some(())).await;
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        let row = row(&db).await;
        assert_eq!((row.runs, row.failures, row.items), (1, 0, 3));
        assert!(row.next_run > row.last_success.unwrap() && !row.holder.is_empty(), "{row:?}");
        for (jobs, _) in servers {
            jobs.end(PATIENCE).await;
        }
        // The request stays in the database for servers that start later, until a run serves it.
        let board = StatusBoard::default();
        let mut jobs = Jobs::new(&db, board.clone());
        jobs.start(Counted(runs.clone()));
        eventually("the new server to know when it is due", async || looked(&board).then_some(())).await;
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        record::request(&db, &platform_cx("jobs.run"), Counted::NAME).await.unwrap();
        eventually("the job that was asked for", async || (runs.load(Ordering::Relaxed) == 2).then_some(())).await;
        jobs.end(PATIENCE).await;
    }

    async fn a_job_of_a_dead_server_becomes_due_and_free(db: TestDb) {
        // The state after a server was killed in the middle of a run.
        record::request(&db, &platform_cx("x"), Counted::NAME).await.unwrap();
        sql(&db, "UPDATE jobs SET holder = 'gone', last_start = next_run".to_owned()).await.unwrap();
        sql(&db, format!("INSERT INTO leases VALUES ('{}', 'gone', 7, 1)", Counted::NAME)).await.unwrap();
        let clock = Clock::manual(OffsetDateTime::now_utc());
        let store = Store::open(StoreConfig { clock: clock.clone(), ..StoreConfig::new(&db.url) }).await.unwrap();
        let (runs, board) = (Arc::new(AtomicU32::new(0)), StatusBoard::default());
        let mut jobs = Jobs::new(&store, board.clone());
        jobs.start(Counted(runs.clone()));
        let elsewhere = async || (board.of(Counted::NAME)?.state == State::Standby).then_some(());
        eventually("the server to find another one at work", elsewhere).await;
        assert_eq!(runs.load(Ordering::Relaxed), 0);
        clock.advance(time::Duration::MINUTE);
        eventually("the job to be taken over", async || (runs.load(Ordering::Relaxed) == 1).then_some(())).await;
        jobs.end(PATIENCE).await;
        let row = row(&db).await;
        assert_eq!(row.runs, 1);
        assert_ne!(row.holder, "gone");
    }
}

/// A job of one server that counts its runs.
struct Counted(Arc<AtomicU32>);

impl Job for Counted {
    const NAME: &'static str = "counted";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(Duration::from_secs(3600))
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Report::done(3))
    }
}

async fn row(db: &TestDb) -> jobs::Model {
    jobs::Entity::find_by_id(Counted::NAME).one(db.read()).await.unwrap().expect("a row of the job")
}

/// Only on PostgreSQL: on SQLite the clock of the database is that of its single server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_clock_of_a_server_shortens_the_retention() {
    let db = db::postgres().await;
    let off = async |days: i64| {
        let clock = Clock::manual(OffsetDateTime::now_utc() + time::Duration::days(days));
        Store::open(StoreConfig { clock, ..StoreConfig::new(&db.url) }).await.unwrap()
    };
    let (fast, slow) = (off(60).await, off(-60).await);
    // Events that look old.
    write(&slow, 5).await;
    Relay::new(&slow).step(&Run::unleased()).await.unwrap();
    for store in [&fast, &slow, &db.store, &fast] {
        assert_eq!(prune(store).await, Report::done(0));
    }
    assert_eq!(revisions(&db).await, range(1..=5));
}

/// The status of a job as a server reports it.
async fn job_status(server: &Server, name: &str) -> Value {
    let answer = server.http().get("/readyz?verbose").await;
    let job_status = answer.json();
    let jobs = job_status["jobs"].as_array().unwrap_or_else(|| panic!("no jobs: {answer:?}"));
    jobs.iter().find(|job| job["name"] == name).unwrap_or_else(|| panic!("no {name}: {answer:?}")).clone()
}

async fn leads(server: &Server) -> bool {
    job_status(server, "relay").await["holds_lease"] == true
}

async fn create(server: &Server, name: &str) {
    let made = server.admin().put(&format!("/admin/v2/tenants/{name}"), r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(made.status, 204, "{made:?}");
}

#[tokio::test]
async fn of_two_servers_one_is_the_leader() {
    let db = db::postgres().await;
    let setup = Setup::dev().database(&db.url);
    let mut servers = vec![setup.start().await, setup.start().await];
    create(&servers[0], "acme").await;
    let leader = eventually("one to lead", async || match (leads(&servers[0]).await, leads(&servers[1]).await) {
        (true, true) => panic!("both servers are leaders"),
        (true, false) => Some(0),
        (false, true) => Some(1),
        (false, false) => None,
    })
    .await;
    let mut killed = servers.remove(leader);
    let left = servers.remove(0);
    let other = job_status(&left, "relay").await;
    assert_eq!((&other["runs"], &other["items"]), (&0.into(), &0.into()), "{other}");
    killed.kill().await;
    create(&left, "beta").await;
    eventually("the other one to lead", async || leads(&left).await.then_some(())).await;
    let unnumbered = outbox::Entity::find().filter(outbox::Column::Revision.is_null());
    eventually("the events to be numbered", async || {
        (unnumbered.clone().count(db.read()).await.unwrap() == 0).then_some(())
    })
    .await;
    assert!(outbox::Entity::find().count(db.read()).await.unwrap() >= 2);
}

#[tokio::test]
async fn a_server_lists_its_jobs_and_runs_them_on_request() {
    let server = Server::dev().await;
    let first = eventually("the first run", async || {
        let job = job_status(&server, "tenant-purge").await;
        (job["runs"] == 1 && job["state"] == "idle").then_some(job)
    })
    .await;
    assert_eq!(first["runs_on"], "one_server", "{first}");
    assert!(first["last_success"].is_string() && first["next_run"].is_string(), "{first}");
    assert_eq!((&first["failures"], &first["last_error"]), (&0.into(), &Value::Null), "{first}");
    assert_eq!(server.http().get("/readyz").await.json(), serde_json::json!({"status": "ready"}));
    let output = server.setup().run(&["jobs", "run", "tenant-purge"]).await;
    assert!(output.status.success(), "{output:?}");
    eventually("the run that was asked for", async || {
        (job_status(&server, "tenant-purge").await["runs"] == 2).then_some(())
    })
    .await;
    let unknown = server.setup().run(&["jobs", "run", "relay"]).await;
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let metrics = server.http().get("/metrics").await.body;
    for line in [
        r#"tenantry_job_runs_total{job="tenant-purge",outcome="success"} 2"#,
        r#"tenantry_job_runs_total{job="tenant-purge",outcome="panic"} 0"#,
        r#"tenantry_job_last_success_timestamp_seconds{job="tenant-purge"} "#,
        r#"tenantry_job_duration_seconds_count{job="tenant-purge"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn the_jobs_of_a_database_are_listed() {
    let db = db::postgres().await;
    let at = |second: i64| Some(Stamp::from(datetime!(2026-01-02 03:04:05.678 UTC) + time::Duration::seconds(second)));
    let known = |name: &str| jobs::Model {
        job: name.to_owned(),
        holder: "web-1:7:0a1b2c3d".to_owned(),
        last_start: at(0),
        last_end: at(1),
        last_success: at(1),
        last_failure: None,
        last_error: None,
        runs: 12,
        failures: 0,
        items: 3400,
        next_run: at(600).unwrap(),
    };
    let rows = [
        known("relay"),
        jobs::Model { last_start: at(100), ..known("text-normalization") },
        jobs::Model {
            last_failure: at(2),
            last_error: Some("the database is unavailable; retry later".to_owned()),
            failures: 1,
            ..known("outbox-retention")
        },
        jobs::Model {
            holder: String::new(),
            last_start: None,
            last_end: None,
            last_success: None,
            runs: 0,
            items: 0,
            ..known("tenant-purge")
        },
        known("of-another-version"),
    ];
    for row in rows {
        let row: jobs::ActiveModel = row.into();
        jobs::Entity::insert(row).exec_without_returning(db.read()).await.unwrap();
    }
    let output = Setup::dev().database(&db.url).run(&["jobs"]).await;
    assert!(output.status.success(), "{output:?}");
    golden::check("jobs.txt", &String::from_utf8(output.stdout).unwrap());
}
