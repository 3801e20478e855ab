//! Operations: steps, failures and cancellation, and which server runs them when servers start, stop and crash.

mod attempts;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, sea_query::OnConflict};
use tenantry::{
    base::{Error, Kind, PageRequest, Result, error::Reason},
    jobs::{Job, Jobs, Report, Run, StatusBoard},
    operations::{self, Kinds, Operation, OperationKind, PruneOperations, RunOperations, State, StepName, Turn},
    store::{
        Exec, Fetch, Store, Tx,
        tables::{counters, leases, operations as rows, outbox},
    },
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    db::{TestDb, platform_cx},
    harness::{PATIENCE, eventually},
    rows::sql,
};

/// A kind with steps that count their batches in a table, after an act that the test chooses.
#[derive(Clone)]
struct Work(Arc<Script>);

struct Script {
    store: Store,
    /// The acts of the next attempts at the second step.
    second: Mutex<VecDeque<Act>>,
    /// The results of the next batches of undoing.
    undo: Mutex<VecDeque<Result<Report>>>,
    /// How many times the second step and the undoing began.
    begun: AtomicU32,
    undone: AtomicU32,
    /// Attempts that hang wait for a permit.
    gate: Semaphore,
}

enum Act {
    Fail(Error),
    Panic,
    /// Waits for the gate, and then does its work.
    Hang,
    /// Cancels the operation, and then fails or does its work.
    Cancel(Option<Error>),
    /// Does its work twice.
    WriteTwice,
}

#[derive(Clone, Copy)]
enum Step {
    First,
    Second,
    Third,
}

impl StepName for Step {
    const ALL: &'static [Self] = &[Self::First, Self::Second, Self::Third];

    fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Third => "third",
        }
    }
}

impl OperationKind for Work {
    const NAME: &'static str = "test.work";
    const STEPS: &'static [Step] = Step::ALL;

    type Step = Step;
    type Input = String;

    async fn step(&self, turn: &Turn, step: Step, input: &String) -> Result<Report> {
        if matches!(step, Step::Second) {
            self.0.begun.fetch_add(1, Ordering::SeqCst);
            let act = self.0.second.lock().unwrap().pop_front();
            match act {
                Some(Act::Fail(error)) => return Err(error),
                Some(Act::Panic) => panic!("a panic for the test"),
                Some(Act::Hang) => self.0.gate.acquire().await.unwrap().forget(),
                Some(Act::Cancel(error)) => {
                    cancel(&self.0.store, turn.operation().id).await;
                    error.map_or(Ok(()), Err)?;
                }
                Some(Act::WriteTwice) => {
                    turn.write(&self.0.store, (format!("{input}.second"), 3), count).await?;
                }
                None => {}
            }
        }
        let counter = format!("{input}.{}", step.as_str());
        // The first step has three batches.
        let batches = if matches!(step, Step::First) { 3 } else { 1 };
        turn.write(&self.0.store, (counter, batches), count).await
    }

    async fn undo(&self, _: &Turn, _: &String) -> Result<Report> {
        self.0.undone.fetch_add(1, Ordering::SeqCst);
        self.0.undo.lock().unwrap().pop_front().unwrap_or_else(|| Ok(Report::done(0)))
    }
}

/// Counts a batch; there is more until `batches` are counted.
async fn count(tx: &Tx, (counter, batches): &(String, i64)) -> Result<Report> {
    let before = counters::Entity::find_by_id(counter.as_str()).fetch_one(tx.conn()).await?.map_or(0, |row| row.value);
    let row = counters::ActiveModel { name: Set(counter.clone()), value: Set(before + 1) };
    let put = OnConflict::column(counters::Column::Name).update_column(counters::Column::Value).to_owned();
    counters::Entity::insert(row).on_conflict(put).run(tx.conn()).await?;
    Ok(Report { items: 10, more: before + 1 < *batches })
}

impl Work {
    fn new(store: &Store, second: Vec<Act>) -> Self {
        let second = Mutex::new(second.into());
        let (begun, undone) = (AtomicU32::new(0), AtomicU32::new(0));
        let undo = Mutex::default();
        Self(Arc::new(Script { store: store.clone(), second, undo, begun, undone, gate: Semaphore::new(0) }))
    }

    /// A server of this kind.
    fn serve(&self, store: &Store) -> Jobs {
        let mut jobs = Jobs::new(store, StatusBoard::default());
        jobs.start(RunOperations::new(store, Kinds::default().with(self.clone())));
        jobs
    }

    async fn begun(&self, times: u32) {
        eventually("the second step to begin", async || (self.0.begun.load(Ordering::SeqCst) >= times).then_some(()))
            .await;
    }
}

async fn start(store: &Store, input: &str) -> Uuid {
    store.write(&platform_cx("test.start"), input.to_owned(), start_in).await.unwrap()
}

async fn start_in(tx: &Tx, input: &String) -> Result<Uuid> {
    operations::start::<Work>(tx, None, "something", input).await
}

async fn cancel(store: &Store, id: Uuid) -> Operation {
    operations::cancel(&platform_cx("operation.cancel"), store, id).await.unwrap()
}

/// Waits until this many consecutive attempts have failed.
async fn failed(store: &Store, id: Uuid, attempts: u32) -> Operation {
    eventually("an attempt to fail", async || {
        Some(read(store, id).await).filter(|operation| operation.attempts == attempts)
    })
    .await
}

async fn read(store: &Store, id: Uuid) -> Operation {
    operations::get(&platform_cx("x"), store, id).await.unwrap()
}

async fn ended(store: &Store, id: Uuid) -> Operation {
    eventually("the operation to end", async || {
        Some(read(store, id).await).filter(|operation| operation.state.is_final())
    })
    .await
}

/// The counters of the steps of an operation.
async fn counted(store: &Store, input: &str) -> Vec<i64> {
    let mut values = Vec::new();
    for step in Step::ALL {
        let name = format!("{input}.{}", step.as_str());
        let row = counters::Entity::find_by_id(name).one(store.orm()).await.unwrap();
        values.push(row.map_or(0, |row| row.value));
    }
    values
}

/// Makes the next attempt due now.
async fn hurry(db: &TestDb) {
    sql(db, "UPDATE operations SET due_at = 0".to_owned()).await.unwrap();
    db.operations_due().activate();
}

fn unavailable() -> Error {
    Error::new(Kind::Unavailable, Reason::DatabaseUnavailable, "the other system is down")
        .caused_by("connection refused")
}

/// The next attempt is due only after `hurry`.
fn later(error: Error) -> Error {
    error.retry_after(Duration::from_secs(3600))
}

/// Runs all operations of a database to their end, as a server does.
pub async fn settle(store: &Store, kinds: Kinds) {
    let mut jobs = Jobs::new(store, StatusBoard::default());
    jobs.start(RunOperations::new(store, kinds));
    eventually("all operations to end", async || {
        let live = rows::Entity::find().filter(rows::Column::EndedAt.is_null());
        (live.count(store.orm()).await.unwrap() == 0).then_some(())
    })
    .await;
    jobs.end(PATIENCE).await;
}

both_databases! {
    async fn an_operation_does_its_steps_and_records_them(db: TestDb) {
        let work = Work::new(&db, vec![]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        let operation = ended(&db, id).await;
        assert_eq!((operation.state, operation.attempts, operation.failure), (State::Succeeded, 0, None));
        let steps: Vec<_> = operation.steps.iter().map(|step| (step.name.as_str(), step.items, step.is_done())).collect();
        assert_eq!(steps, [("first", 30, true), ("second", 10, true), ("third", 10, true)]);
        assert!(operation.started_at.is_some() && operation.ended_at >= operation.started_at);
        assert_eq!((operation.kind.as_str(), operation.target.as_str()), ("test.work", "something"));
        assert_eq!(counted(&db, "a").await, [3, 1, 1]);
        let events = outbox::Entity::find().filter(outbox::Column::Topic.eq("operation")).count(db.read()).await.unwrap();
        // On a busy machine, the progress of the first step may have events, too.
        assert!((6..=8).contains(&events), "{events}: one each for the start, the first attempt, the three steps and the end");
        jobs.end(PATIENCE).await;
    }

    async fn a_failed_write_starts_no_operation(db: TestDb) {
        let cx = platform_cx("test.start");
        let failed = db.write(&cx, (), async |tx: &Tx, (): &()| {
            operations::start::<Work>(tx, None, "something", &"a".to_owned()).await?;
            Err::<(), _>(Error::precondition(Reason::TenantInUse, "no"))
        });
        failed.await.unwrap_err();
        assert_eq!(rows::Entity::find().count(db.read()).await.unwrap(), 0);
    }

    async fn unreadable_operations_do_not_block_others(db: TestDb) {
        for (input, change) in [("a", "state = 'newer'"), ("b", "steps = 'newer'")] {
            start(&db, input).await;
            sql(&db, format!("UPDATE operations SET {change} WHERE input = '\"{input}\"'")).await.unwrap();
        }
        let id = start(&db, "c").await;
        let jobs = Work::new(&db, vec![]).serve(&db);
        assert_eq!(ended(&db, id).await.state, State::Succeeded);
        assert_eq!((counted(&db, "a").await, counted(&db, "b").await), (vec![0, 0, 0], vec![0, 0, 0]));
        let (cx, filter) = (platform_cx("x"), operations::Filter::default());
        let page = operations::list(&cx, &db, &filter, PageRequest::read(Some(1), None).unwrap()).await.unwrap();
        assert_eq!((page.items.iter().map(|operation| operation.id).collect::<Vec<_>>(), page.total), (vec![id], 3));
        let rest = PageRequest::read(Some(5), page.next.as_deref()).unwrap();
        let page = operations::list(&cx, &db, &filter, rest).await.unwrap();
        assert_eq!((page.items, page.next), (vec![], None));
        jobs.end(PATIENCE).await;
    }

    async fn operations_on_one_server_do_not_delay_other_servers(db: TestDb) {
        let replica = db.replica().await;
        let slow = Work::new(&db, std::iter::repeat_with(|| Act::Hang).take(8).collect());
        let first = slow.serve(&db);
        for number in 0..8 {
            start(&db, &number.to_string()).await;
        }
        slow.begun(8).await;
        let id = start(&replica, "a").await;
        let second = Work::new(&replica, vec![]).serve(&replica);
        assert_eq!(ended(&replica, id).await.state, State::Succeeded);
        assert_eq!(slow.0.begun.load(Ordering::SeqCst), 8);
        first.end(PATIENCE).await;
        second.end(PATIENCE).await;
    }

    async fn servers_share_operations_and_run_each_step_once(db: TestDb) {
        let replica = db.replica().await;
        let work = Work::new(&db, vec![]);
        let servers = [work.serve(&db), work.serve(&replica)];
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.push(start(if number % 2 == 0 { &db } else { &replica }, &number.to_string()).await);
        }
        for (number, id) in ids.into_iter().enumerate() {
            assert_eq!(ended(&db, id).await.state, State::Succeeded);
            assert_eq!(counted(&db, &number.to_string()).await, [3, 1, 1], "{number}");
        }
        for jobs in servers {
            jobs.end(PATIENCE).await;
        }
    }

    async fn a_server_that_lost_the_lease_cannot_write(db: TestDb) {
        let work = Work::new(&db, vec![Act::Hang]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        work.begun(1).await;
        // Another server has taken the operation over, because this one did not renew the lease.
        sql(&db, "UPDATE leases SET holder = 'other', fence = fence + 1 WHERE name LIKE 'operation:%'".to_owned()).await.unwrap();
        work.0.gate.add_permits(1);
        eventually("the write of the step to be refused", async || (work.0.gate.available_permits() == 0).then_some(())).await;
        jobs.end(PATIENCE).await;
        assert_eq!((read(&db, id).await.state, counted(&db, "a").await), (State::Running, vec![3, 0, 0]));
        // The other server releases the lease.
        sql(&db, "UPDATE leases SET expires_at = 0 WHERE name LIKE 'operation:%'".to_owned()).await.unwrap();
        settle(&db, Kinds::default().with(work)).await;
        assert_eq!(counted(&db, "a").await, [3, 1, 1]);
    }

    async fn a_server_that_stops_leaves_its_operations_to_others(db: TestDb) {
        let replica = db.replica().await;
        let work = Work::new(&db, vec![Act::Hang]);
        let first = work.serve(&db);
        let id = start(&db, "a").await;
        work.begun(1).await;
        first.end(PATIENCE).await;
        let held = leases::Entity::find().filter(leases::Column::Name.starts_with("operation:")).filter(leases::Column::ExpiresAt.ne(0));
        assert_eq!((held.count(db.read()).await.unwrap(), read(&db, id).await.state), (0, State::Running), "the lease must be released");
        let second = work.serve(&replica);
        assert_eq!(ended(&db, id).await.state, State::Succeeded);
        assert_eq!(counted(&db, "a").await, [3, 1, 1]);
        second.end(PATIENCE).await;
    }

    async fn a_wait_returns_at_the_end_of_the_operation_or_at_the_deadline(db: TestDb) {
        let work = Work::new(&db, vec![Act::Hang]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        work.begun(1).await;
        let waited = operations::wait(&platform_cx("x"), &db, id, Duration::from_millis(20)).await.unwrap();
        assert_eq!(waited.state, State::Running);
        let cx = platform_cx("x");
        let waiting = operations::wait(&cx, &db, id, PATIENCE);
        work.0.gate.add_permits(1);
        assert_eq!(waiting.await.unwrap().state, State::Succeeded);
        jobs.end(PATIENCE).await;
        let missing = operations::wait(&platform_cx("x"), &db, Uuid::nil(), PATIENCE).await.unwrap_err();
        assert_eq!(missing.reason, Reason::OperationNotFound);
    }

    async fn operations_of_unknown_kinds_are_skipped(db: TestDb) {
        let kind = start(&db, "a").await;
        RunOperations::new(&db, Kinds::default()).run(&Run::unleased()).await.unwrap();
        let step = start(&db, "b").await;
        let newer = r#"[{"name":"newer"}]"#;
        sql(&db, format!("UPDATE operations SET steps = '{newer}' WHERE input = '\"b\"'")).await.unwrap();
        let work = Work::new(&db, vec![]);
        let jobs = work.serve(&db);
        assert_eq!(ended(&db, kind).await.state, State::Succeeded, "a server with the kind must run it");
        assert_eq!(read(&db, step).await.state, State::Pending);
        jobs.end(PATIENCE).await;
    }

    async fn ended_operations_are_kept_for_the_retention(db: TestDb) {
        let work = Work::new(&db, vec![]);
        let old = start(&db, "a").await;
        settle(&db, Kinds::default().with(work.clone())).await;
        sql(&db, "UPDATE operations SET ended_at = ended_at - 3600000000".to_owned()).await.unwrap();
        let new = start(&db, "b").await;
        settle(&db, Kinds::default().with(work)).await;
        let live = start(&db, "c").await;
        let prune = PruneOperations::new(&db, Duration::from_secs(1800));
        assert_eq!(prune.run(&Run::unleased()).await.unwrap(), Report::done(1));
        let gone = operations::get(&platform_cx("x"), &db, old).await.unwrap_err();
        assert_eq!(gone.reason, Reason::OperationNotFound);
        assert_eq!((read(&db, new).await.state, read(&db, live).await.state), (State::Succeeded, State::Pending));
    }
}
