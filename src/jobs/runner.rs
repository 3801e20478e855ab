//! Runs one job on one server until shutdown.

use std::{any::Any, convert::Infallible, panic::AssertUnwindSafe, pin::pin, time::Duration};

use futures::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Job, Lease, Placement, Report, Run, Schedule, State, StatusBoard,
    coordination::{Claim, Coordination, JobInfo},
    record::RunSummary,
    run::taken_over,
    status::{self, Failed},
};
use crate::base::{Activator, Clock, Error, panics};

/// How often the database is checked for a request to run a job that is not due.
pub(super) const DUE_POLL: Duration = Duration::from_secs(10);
/// How often the lease of another server is checked.
pub(super) const HOLDER_POLL: Duration = Duration::from_secs(2);
/// How often runs are recorded while the lease is kept.
pub(super) const RECORD_EVERY: Duration = Duration::from_secs(10);
/// The recorded delay to the next run of a job that is not periodic.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The runner of one job.
pub(super) struct Runner<J, C> {
    job: J,
    coordination: C,
    board: StatusBoard,
    clock: Clock,
    stop: CancellationToken,
    schedule: Schedule,
    lease: Option<Lease>,
    /// Whether the job runs even if it is not due.
    forced: bool,
    /// Consecutive failures.
    failures: u32,
    /// Runs that are not recorded in the database yet.
    unrecorded: RunSummary,
    recorded_at: Option<Instant>,
}

/// How long to wait for the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Now,
    For(Duration),
    UntilWoken,
}

/// The outcome of a run.
enum Outcome {
    Done(Report),
    Failed(Error),
    Panicked,
    Lost,
}

impl<J: Job, C: Coordination> Runner<J, C> {
    pub fn new(job: J, coordination: C, board: StatusBoard, clock: Clock, stop: CancellationToken) -> Self {
        board.add(J::NAME, J::PLACEMENT);
        let schedule = job.schedule();
        let (forced, unrecorded) = (schedule.at_start(), RunSummary::default());
        Self {
            job,
            coordination,
            board,
            clock,
            stop,
            schedule,
            lease: None,
            forced,
            failures: 0,
            unrecorded,
            recorded_at: None,
        }
    }

    /// Runs the job until shutdown.
    pub async fn follow(mut self) {
        let activator = self.job.activator();
        let mut pause = Pause::For(Duration::ZERO);
        while let Some(woken) = self.wait(pause, activator.as_ref()).await {
            self.forced |= woken;
            // A panic does not end the job, not even one outside of its own code.
            pause = match AssertUnwindSafe(self.turn()).catch_unwind().await {
                Ok(pause) => pause,
                Err(panic) => self.settle(panicked::<J>(panic.as_ref())).await,
            };
        }
        self.end().await;
    }

    /// Waits for the next turn. Returns whether the job was woken before it was due; `None` at shutdown.
    async fn wait(&self, pause: Pause, activator: Option<&Activator>) -> Option<bool> {
        let (rest, pause) = match pause {
            Pause::Now => return (!self.stop.is_cancelled()).then_some(false),
            Pause::For(pause) => (self.schedule.rest(), Some(pause)),
            Pause::UntilWoken => (self.schedule.rest(), None),
        };
        let time = async {
            let due = pause.map(|pause| Instant::now() + pause);
            sleep(rest).await;
            let woken = async {
                match activator {
                    Some(activator) => activator.activated().await,
                    None => std::future::pending().await,
                }
            };
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = woken => true,
                () = due => false,
            }
        };
        self.stop.run_until_cancelled(time).await
    }

    /// Runs the job if there is work, it is due, and this server has the lease.
    async fn turn(&mut self) -> Pause {
        match self.job.is_wanted().await {
            Ok(true) => {}
            Ok(false) => return self.idle(self.schedule.after_success()),
            Err(error) => return self.settle(Outcome::Failed(error)).await,
        }
        if J::PLACEMENT.is_leased() && self.lease.is_none() {
            match self.coordination.claim(self.info(), self.forced).await {
                Ok(Claim::Granted(lease)) => self.lease = Some(lease),
                Ok(Claim::NotDue(wait)) => return self.idle(Some(wait)),
                Ok(Claim::HeldByOther) => return self.stand_by(),
                Err(error) => return self.settle(Outcome::Failed(error)).await,
            }
        }
        self.forced = false;
        let outcome = self.run(Run::new(self.lease.clone(), self.stop.child_token())).await;
        self.settle(outcome).await
    }

    /// Runs the job once and renews its lease meanwhile.
    async fn run(&self, run: Run) -> Outcome {
        self.board.begun(J::NAME, self.clock.now());
        self.board.holds(J::NAME, self.lease.is_some());
        let began = Instant::now();
        let mut work = pin!(AssertUnwindSafe(self.job.run(&run)).catch_unwind());
        let ended = tokio::select! {
            ended = &mut work => ended,
            never = self.renew(&run) => match never {},
        };
        status::measure(J::NAME, began.elapsed());
        match ended {
            Err(panic) => panicked::<J>(panic.as_ref()),
            Ok(_) if run.is_lost() => Outcome::Lost,
            Ok(Ok(report)) => Outcome::Done(report),
            Ok(Err(error)) => Outcome::Failed(error),
        }
    }

    async fn renew(&self, run: &Run) -> Infallible {
        if let Some(lease) = &self.lease {
            loop {
                sleep(Lease::RENEW_EVERY).await;
                match self.coordination.renew(lease).await {
                    Ok(true) => {}
                    Ok(false) => break run.lose(),
                    // Harmless: the writes of the run are fenced.
                    Err(error) => {
                        tracing::debug!(job = J::NAME, %error, "cannot renew the lease of a background job")
                    }
                }
            }
        }
        std::future::pending().await
    }

    /// Records the outcome of a run and decides when the next one is due.
    async fn settle(&mut self, outcome: Outcome) -> Pause {
        let now = self.clock.now();
        let failure = match outcome {
            Outcome::Done(report) => {
                self.succeeded(report);
                let next = if report.more { Some(Duration::ZERO) } else { self.schedule.after_success() };
                let more = report.more && !self.stop.is_cancelled();
                self.record(next.unwrap_or(NEVER), more || J::PLACEMENT == Placement::Leader).await;
                return if more { Pause::Now } else { self.idle(next) };
            }
            Outcome::Failed(error) => {
                self.log(&error);
                (Failed::Error, error.to_string())
            }
            Outcome::Panicked => (Failed::Panic, "the job panicked; see the log".to_owned()),
            Outcome::Lost => (Failed::Lost, taken_over().to_string()),
        };
        self.board.failed(J::NAME, now, failure.0, &failure.1);
        if failure.0 == Failed::Lost {
            (self.lease, self.unrecorded) = (None, RunSummary::default());
            return self.stand_by();
        }
        self.failures = self.failures.saturating_add(1);
        self.unrecorded.runs += 1;
        self.unrecorded.failures += 1;
        self.unrecorded.error = Some(failure.1);
        let next = self.schedule.after_failures(self.failures);
        self.recorded_at = None;
        self.record(next, J::PLACEMENT == Placement::Leader).await;
        self.idle(Some(next))
    }

    fn succeeded(&mut self, report: Report) {
        self.board.succeeded(J::NAME, self.clock.now(), report);
        if self.failures > 0 {
            tracing::info!(job = J::NAME, failures = self.failures, "a background job succeeds again");
            (self.failures, self.recorded_at) = (0, None);
        }
        self.unrecorded.runs += 1;
        self.unrecorded.items += report.items;
        self.unrecorded.error = None;
    }

    /// Only the first of consecutive failures is a warning, so that a long outage does not fill the log; metrics count all.
    fn log(&self, error: &Error) {
        let cause = error.cause.as_ref();
        if self.failures == 0 {
            tracing::warn!(job = J::NAME, %error, ?cause, "a background job failed; trying again");
        } else {
            tracing::debug!(job = J::NAME, %error, ?cause, failures = self.failures, "a background job failed again");
        }
    }

    /// Records runs in the database: at most every [`RECORD_EVERY`] if the lease is kept, otherwise at once, with its release.
    async fn record(&mut self, next: Duration, keep: bool) {
        let Some(lease) = self.lease.clone() else { return };
        if keep && self.recorded_at.is_some_and(|at| at.elapsed() < RECORD_EVERY) {
            return;
        }
        self.unrecorded.next = next;
        self.unrecorded.keep = keep;
        if !keep {
            self.lease = None;
        }
        match self.coordination.record(&lease, self.info(), self.unrecorded.clone()).await {
            Ok(true) => (self.unrecorded, self.recorded_at) = (RunSummary::default(), Some(Instant::now())),
            Ok(false) => (self.lease, self.unrecorded) = (None, RunSummary::default()),
            // The next record includes these runs.
            Err(error) => tracing::debug!(job = J::NAME, %error, "cannot record the runs of a background job"),
        }
    }

    /// Waits for this time, or until the job is woken.
    fn idle(&self, pause: Option<Duration>) -> Pause {
        let state = if pause.is_some() { State::Idle } else { State::Done };
        let next = pause.map(|pause| self.clock.now() + pause);
        self.board.waits(J::NAME, state, next, self.lease.is_some());
        match (pause, J::PLACEMENT) {
            (None, _) => Pause::UntilWoken,
            (Some(pause), Placement::OneServer) => Pause::For(pause.min(DUE_POLL)),
            (Some(pause), _) => Pause::For(pause),
        }
    }

    /// Waits for the lease of another server.
    fn stand_by(&self) -> Pause {
        self.board.waits(J::NAME, State::Standby, None, false);
        Pause::For(self.schedule.period().map_or(HOLDER_POLL, |period| period.min(HOLDER_POLL)))
    }

    /// Does the last run if the job has one, and releases the lease.
    async fn end(&mut self) {
        if J::LAST_RUN {
            let outcome = self.run(Run::last()).await;
            self.settle(outcome).await;
        }
        self.record(self.schedule.period().unwrap_or(NEVER), false).await;
        self.board.waits(J::NAME, State::Done, None, false);
    }

    fn info(&self) -> JobInfo {
        let longest_pause = self.schedule.longest_pause().unwrap_or(NEVER);
        JobInfo { name: J::NAME, placement: J::PLACEMENT, longest_pause }
    }
}

/// Counts and logs a panic.
fn panicked<J: Job>(panic: &(dyn Any + Send)) -> Outcome {
    panics::count(panic);
    tracing::error!(job = J::NAME, panic = panics::text(panic), "a background job panicked");
    Outcome::Panicked
}
