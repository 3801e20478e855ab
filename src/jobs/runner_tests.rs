//! The runner with paused time and a fake coordination.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Job, Lease, Placement, Report, Run, Schedule, State, Status, StatusBoard,
    coordination::{Claim, Coordination, JobInfo},
    record::RunSummary,
    runner::{DUE_POLL, HOLDER_POLL, RECORD_EVERY, Runner},
};
use crate::base::{Activator, Clock, Error, Result};

const NAME: &str = "it";
const PERIOD: Duration = Duration::from_secs(100);
const LONG: Duration = Duration::from_secs(40);

/// What a run does.
#[derive(Clone, Copy)]
enum Step {
    Do(Report),
    Fail,
    Panic,
    /// Takes this long, even if it is cancelled.
    Take(Duration),
    /// Continues until it is cancelled.
    Wait,
}

/// When a run started, and whether it is the last one.
type Began = (Duration, bool);

/// The configuration of a test job.
struct Script {
    steps: Mutex<VecDeque<Step>>,
    began: UnboundedSender<Began>,
    start: Instant,
    schedule: Schedule,
    activator: Activator,
}

impl Script {
    async fn run(&self, run: &Run) -> Result<Report> {
        self.began.send((self.start.elapsed(), run.is_last())).unwrap();
        let step = self.steps.lock().unwrap().pop_front();
        match step.unwrap_or(Step::Do(Report::done(1))) {
            Step::Do(report) => return Ok(report),
            Step::Fail => return Err(Error::internal("hunter2")),
            Step::Panic => panic!("hunter2"),
            Step::Take(time) => sleep(time).await,
            Step::Wait => assert_eq!(run.until_stopped(std::future::pending::<()>()).await, None),
        }
        Ok(Report::done(1))
    }
}

macro_rules! job {
    ($name:ident, $placement:ident, $last:literal) => {
        struct $name(Script);

        impl From<Script> for $name {
            fn from(script: Script) -> Self {
                Self(script)
            }
        }

        impl Job for $name {
            const NAME: &'static str = NAME;
            const PLACEMENT: Placement = Placement::$placement;
            const LAST_RUN: bool = $last;

            fn schedule(&self) -> Schedule {
                self.0.schedule
            }

            fn activator(&self) -> Option<Activator> {
                Some(self.0.activator.clone())
            }

            async fn run(&self, run: &Run) -> Result<Report> {
                self.0.run(run).await
            }
        }
    };
}

job!(Own, EveryServer, true);
job!(Shared, OneServer, false);
job!(Led, Leader, false);

/// A fake coordination with scripted results, which records the calls.
#[derive(Clone, Default)]
struct Others(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    claims: VecDeque<Result<Claim>>,
    renewals: VecDeque<bool>,
    panics: u32,
    forced: Vec<bool>,
    ended: Vec<RunSummary>,
    fences: i64,
}

impl Coordination for Others {
    async fn claim(&self, _: JobInfo, force: bool) -> Result<Claim> {
        let mut calls = self.0.lock().unwrap();
        if calls.panics > 0 {
            calls.panics -= 1;
            drop(calls);
            panic!("hunter2");
        }
        calls.forced.push(force);
        calls.fences += 1;
        let lease = Lease::of_test(NAME, calls.fences);
        calls.claims.pop_front().unwrap_or(Ok(Claim::Granted(lease)))
    }

    async fn renew(&self, _: &Lease) -> Result<bool> {
        Ok(self.0.lock().unwrap().renewals.pop_front().unwrap_or(true))
    }

    async fn record(&self, _: &Lease, _: JobInfo, ended: RunSummary) -> Result<bool> {
        self.0.lock().unwrap().ended.push(ended);
        Ok(true)
    }
}

/// A running job.
struct Running {
    board: StatusBoard,
    began: UnboundedReceiver<Began>,
    activator: Activator,
    others: Others,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start<J: Job + From<Script>>(schedule: Schedule, steps: impl IntoIterator<Item = Step>, others: Others) -> Running {
    let (sender, began) = unbounded_channel();
    let (activator, board, stop) = (Activator::default(), StatusBoard::default(), CancellationToken::new());
    let script = Script {
        steps: Mutex::new(steps.into_iter().collect()),
        began: sender,
        start: Instant::now(),
        schedule,
        activator: activator.clone(),
    };
    let runner = Runner::new(J::from(script), others.clone(), board.clone(), Clock::system(), stop.clone());
    Running { board, began, activator, others, stop, task: tokio::spawn(runner.follow()) }
}

impl Running {
    /// When the next run starts.
    async fn next(&mut self) -> Duration {
        self.began.recv().await.expect("a run").0
    }

    fn status(&self) -> Status {
        self.board.of(NAME).expect("the job has a status")
    }

    fn ended(&self) -> Vec<RunSummary> {
        self.others.0.lock().unwrap().ended.clone()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("the runner did not panic");
    }
}

/// Waits until all tasks are waiting for a time.
async fn settled() {
    sleep(Duration::from_millis(1)).await;
}

/// Asserts that `moment` is `pause`, shortened by at most a tenth, after `before`.
fn assert_after(pause: Duration, before: Duration, moment: Duration) {
    let waited = moment - before;
    let slack = Duration::from_millis(10);
    assert!((pause.mul_f64(0.9)..=pause + slack).contains(&waited), "{waited:?} is not {pause:?}");
}

#[tokio::test(start_paused = true)]
async fn long_runs_do_not_pile_up() {
    let mut job = start::<Own>(Schedule::every(PERIOD), [Step::Take(3 * PERIOD)], Others::default());
    assert!(job.next().await < Duration::from_millis(10), "the first run is at startup");
    let second = job.next().await;
    assert_after(PERIOD, 3 * PERIOD, second);
    assert_after(PERIOD, second, job.next().await);
    settled().await;
    let status = job.status();
    assert_eq!((status.runs, status.failures, status.items, status.state), (3, 0, 3, State::Idle));
    assert!(status.next_run > status.last_success && status.last_failure.is_none(), "{status:?}");
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_one_run() {
    let mut job = start::<Own>(Schedule::every(PERIOD), [Step::Panic], Others::default());
    let first = job.next().await;
    settled().await;
    let failure = job.status().last_failure.expect("the status has the failure");
    assert_eq!(failure.error, "the job panicked; see the log");
    assert_after(Duration::from_secs(1), first, job.next().await);
    settled().await;
    let status = job.status();
    assert_eq!((status.runs, status.failures, status.state), (2, 1, State::Idle));
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_outside_of_the_run_does_not_end_the_job() {
    let others = Others::default();
    others.0.lock().unwrap().panics = 2;
    let mut job = start::<Shared>(Schedule::every(PERIOD), [], others);
    assert_after(Duration::from_secs(3), Duration::ZERO, job.next().await);
    settled().await;
    assert_eq!((job.status().runs, job.status().failures), (3, 2));
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_after_growing_delays() {
    let steps = [Step::Fail, Step::Fail, Step::Fail, Step::Do(Report::done(7)), Step::Fail];
    let mut job = start::<Own>(Schedule::every(PERIOD), steps, Others::default());
    let mut before = job.next().await;
    for (seconds, failures) in [(1, 2), (2, 3), (4, 3), (100, 4), (1, 4)] {
        let next = job.next().await;
        assert_after(Duration::from_secs(seconds), before, next);
        before = next;
        settled().await;
        assert_eq!(job.status().failures, failures);
    }
    let status = job.status();
    assert_eq!(status.items, 8, "7 by the fourth run, 1 by the last");
    assert_eq!(status.last_failure.unwrap().error, "internal error", "the status must not contain the cause");
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_woken_job_runs_before_it_is_due_and_no_wake_is_lost() {
    let rest = Duration::from_secs(5);
    let mut job = start::<Own>(Schedule::every(PERIOD).with_rest(rest), [Step::Take(LONG)], Others::default());
    // The first rest is before the first run.
    assert_after(rest, Duration::ZERO, job.next().await);
    job.activator.activate();
    job.activator.activate();
    let second = job.next().await;
    assert_eq!(second.as_secs(), (rest + LONG + rest).as_secs(), "woken during a run: runs after the rest");
    let third = job.next().await;
    assert_after(PERIOD, second, third);
    sleep(Duration::from_secs(20)).await;
    job.activator.activate();
    assert_eq!(job.next().await.as_secs(), third.as_secs() + 20, "woken while idle: runs at once");
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_done_runs_again_only_when_it_is_woken() {
    let mut job = start::<Own>(Schedule::once(), [Step::Fail], Others::default());
    job.next().await;
    job.next().await;
    sleep(1000 * PERIOD).await;
    assert!(job.began.try_recv().is_err(), "the job ran again");
    assert_eq!(job.status().state, State::Done);
    job.activator.activate();
    job.next().await;
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_cancels_the_run_and_does_the_last_run() {
    let mut job = start::<Own>(Schedule::every(PERIOD), [Step::Wait], Others::default());
    job.next().await;
    sleep(LONG).await;
    assert_eq!(job.status().state, State::Running);
    job.stop.cancel();
    let (_, is_last) = job.began.recv().await.unwrap();
    assert!(is_last);
    (&mut job.task).await.unwrap();
    assert!(job.began.recv().await.is_none(), "a run followed the last run");
    assert_eq!((job.status().runs, job.status().state), (2, State::Done));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_not_due_is_polled_and_runs_when_it_is_due() {
    let others = Others::default();
    let wait = DUE_POLL + DUE_POLL / 2;
    let waits = [wait, wait - DUE_POLL];
    others.0.lock().unwrap().claims.extend(waits.map(|wait| Ok(Claim::NotDue(wait))));
    let mut job = start::<Shared>(Schedule::every(PERIOD), [], others);
    settled().await;
    assert!(job.status().next_run.is_some() && !job.status().holds_lease);
    let first = job.next().await;
    assert_after(wait, Duration::ZERO, first);
    settled().await;
    let ended = job.ended().pop().expect("the run is recorded");
    assert_eq!((ended.runs, ended.items, ended.keep, ended.error), (1, 1, false, None));
    assert!(ended.next <= PERIOD && !job.status().holds_lease);
    job.activator.activate();
    job.next().await;
    assert_eq!(job.others.0.lock().unwrap().forced, [false, false, false, true]);
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn with_at_each_start_a_job_runs_at_startup_even_if_it_is_not_due() {
    let others = Others::default();
    others.0.lock().unwrap().claims.push_back(Ok(Claim::HeldByOther));
    let mut job = start::<Shared>(Schedule::every(PERIOD).at_each_start(), [], others);
    assert_after(HOLDER_POLL, Duration::ZERO, job.next().await);
    assert_eq!(job.others.0.lock().unwrap().forced, [true, true], "also after another server released the lease");
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_followed_by_the_next_under_the_same_lease() {
    let full = Step::Do(Report::batch(5, 5));
    let mut job =
        start::<Shared>(Schedule::every(PERIOD), [full, full, Step::Do(Report::batch(1, 5))], Others::default());
    for _ in 0..3 {
        assert!(job.next().await < Duration::from_millis(10));
    }
    settled().await;
    assert_eq!(job.others.0.lock().unwrap().forced.len(), 1);
    let recorded: Vec<_> = job.ended().iter().map(|ended| (ended.runs, ended.items, ended.keep)).collect();
    assert_eq!(recorded, [(1, 5, true), (2, 6, false)]);
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_loses_its_lease_is_cancelled_and_records_nothing() {
    let others = Others::default();
    {
        let mut calls = others.0.lock().unwrap();
        calls.renewals.extend([true, true, false]);
        let lease = Lease::of_test(NAME, 1);
        calls.claims.extend([Ok(Claim::Granted(lease)), Ok(Claim::HeldByOther)]);
    }
    let mut job = start::<Shared>(Schedule::every(PERIOD), [Step::Wait], others);
    job.next().await;
    settled().await;
    assert!(job.status().holds_lease);
    // The run is cancelled after the third renewal; then another server has the lease for one poll.
    let second = job.next().await;
    assert_after(Duration::from_secs(9) + 2 * HOLDER_POLL, Duration::ZERO, second);
    settled().await;
    let status = job.status();
    assert_eq!((status.runs, status.failures), (2, 1));
    assert_eq!(status.last_failure.unwrap().error, "another server has taken the job over");
    let recorded: Vec<_> = job.ended().iter().map(|ended| (ended.runs, ended.failures)).collect();
    assert_eq!(recorded, [(1, 0)], "the lost run must not be recorded");
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_when_the_lease_is_free() {
    let others = Others::default();
    others.0.lock().unwrap().claims.extend((0..3).map(|_| Ok(Claim::HeldByOther)));
    let mut job = start::<Shared>(Schedule::every(PERIOD), [], others);
    settled().await;
    assert_eq!((job.status().state, job.status().runs), (State::Standby, 0));
    assert_after(3 * HOLDER_POLL, Duration::ZERO, job.next().await);
    job.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_keeps_its_lease_and_records_its_runs_periodically() {
    let period = RECORD_EVERY / 10;
    let mut job = start::<Led>(Schedule::every(period), [], Others::default());
    for _ in 0..30 {
        job.next().await;
    }
    settled().await;
    assert_eq!(job.others.0.lock().unwrap().forced.len(), 1, "one claim");
    let recorded = job.ended();
    assert!((3..=4).contains(&recorded.len()) && recorded.iter().all(|ended| ended.keep), "{recorded:?}");
    let others = job.others.clone();
    job.end().await;
    let recorded = others.0.lock().unwrap().ended.clone();
    assert_eq!(recorded.iter().map(|ended| ended.runs).sum::<u64>(), 30, "every run is recorded");
    assert!(!recorded.last().unwrap().keep, "the lease is released at shutdown");
}

#[tokio::test(start_paused = true)]
async fn a_failed_claim_is_retried() {
    let others = Others::default();
    others.0.lock().unwrap().claims.push_back(Err(Error::internal("hunter2")));
    let mut job = start::<Shared>(Schedule::every(PERIOD), [], others);
    assert_after(Duration::from_secs(1), Duration::ZERO, job.next().await);
    settled().await;
    assert_eq!((job.status().runs, job.status().failures), (2, 1));
    let ended = job.ended().pop().unwrap();
    assert_eq!((ended.runs, ended.failures, ended.error), (2, 1, None));
    job.end().await;
}
