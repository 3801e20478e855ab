//! Runs one job on one server, until the server ends.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::pin, time::Duration};

use futures::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Board, Job, Lease, Placement, Report, Run, Schedule, State,
    coordination::{Claim, Claimed, Coordination},
    record::Ended,
    run::taken_over,
    status::{self, Failed},
};
use crate::base::{Activator, Clock, Error, panics};

/// How often a job that is not due is looked for in the database: somebody may have asked for it.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// How often it is looked whether the server that runs a job still does.
pub(super) const WATCH: Duration = Duration::from_secs(2);
/// How often a lease is renewed during a long run.
const RENEW: Duration = Duration::from_secs(3);
/// How often the leader of a job notes how it goes.
pub(super) const NOTE: Duration = Duration::from_secs(10);
/// The time to the next run in the database, for a job that has none.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// One job.
pub(super) struct Runner<J, C> {
    job: J,
    others: C,
    board: Board,
    clock: Clock,
    stop: CancellationToken,
    schedule: Schedule,
    lease: Option<Lease>,
    /// Whether the next run does not wait until the job is due.
    forced: bool,
    /// In a row.
    failures: u32,
    /// What the database is to be told of runs.
    unnoted: Ended,
    noted_at: Option<Instant>,
}

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Now,
    For(Duration),
    UntilWoken,
}

/// How a run ended.
enum Outcome {
    Done(Report),
    Failed(Error),
    Panicked,
    Lost,
}

impl<J: Job, C: Coordination> Runner<J, C> {
    pub fn new(job: J, others: C, board: Board, clock: Clock, stop: CancellationToken) -> Self {
        board.add(J::NAME, J::PLACEMENT);
        let schedule = job.schedule();
        let (forced, unnoted) = (schedule.at_start(), Ended::default());
        Self { job, others, board, clock, stop, schedule, lease: None, forced, failures: 0, unnoted, noted_at: None }
    }

    /// Runs the job until the stop, then once more where it wants that.
    pub async fn follow(mut self) {
        let activator = self.job.activator();
        let mut pause = Pause::For(Duration::ZERO);
        while let Some(woken) = self.wait(pause, activator.as_ref()).await {
            self.forced |= woken;
            pause = self.turn().await;
        }
        self.end().await;
    }

    /// Waits for the next turn; whether it was woken for it. `None` at the stop.
    async fn wait(&self, pause: Pause, activator: Option<&Activator>) -> Option<bool> {
        let (rest, pause) = match pause {
            Pause::Now => return (!self.stop.is_cancelled()).then_some(false),
            Pause::For(pause) => (self.schedule.rest(), Some(pause)),
            Pause::UntilWoken => (self.schedule.rest(), None),
        };
        let time = async {
            let due = pause.map(|pause| Instant::now() + pause);
            sleep(rest).await;
            let rung = async {
                match activator {
                    Some(activator) => activator.rung().await,
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
                () = rung => true,
                () = due => false,
            }
        };
        self.stop.run_until_cancelled(time).await
    }

    /// Runs the job if there is work, it is due and this server's.
    async fn turn(&mut self) -> Pause {
        match self.job.is_wanted().await {
            Ok(true) => {}
            Ok(false) => return self.idle(self.schedule.after_success()),
            Err(error) => return self.settle(Outcome::Failed(error)).await,
        }
        if J::PLACEMENT.is_leased() && self.lease.is_none() {
            match self.others.claim(self.claimed(), self.forced).await {
                Ok(Claim::Mine(lease)) => self.lease = Some(lease),
                Ok(Claim::NotDue(wait)) => return self.idle(Some(wait)),
                Ok(Claim::Elsewhere) => return self.elsewhere(),
                Err(error) => return self.settle(Outcome::Failed(error)).await,
            }
        }
        self.forced = false;
        let outcome = self.run(Run::new(self.lease.clone(), self.stop.child_token())).await;
        self.settle(outcome).await
    }

    /// Runs the job once. Its lease is renewed meanwhile, and the run told to end when it is lost.
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
            Err(panic) => {
                panics::count(panic.as_ref());
                tracing::error!(job = J::NAME, panic = panics::text(panic.as_ref()), "a background job panicked");
                Outcome::Panicked
            }
            Ok(_) if run.is_lost() => Outcome::Lost,
            Ok(Ok(report)) => Outcome::Done(report),
            Ok(Err(error)) => Outcome::Failed(error),
        }
    }

    async fn renew(&self, run: &Run) -> Infallible {
        if let Some(lease) = &self.lease {
            loop {
                sleep(RENEW).await;
                match self.others.renew(lease).await {
                    Ok(true) => {}
                    Ok(false) => break run.lose(),
                    // What the run writes is fenced all the same.
                    Err(error) => tracing::debug!(job = J::NAME, %error, "a lease cannot be renewed now"),
                }
            }
        }
        std::future::pending().await
    }

    /// Notes how a run ended and decides when the next one is.
    async fn settle(&mut self, outcome: Outcome) -> Pause {
        let now = self.clock.now();
        let failure = match outcome {
            Outcome::Done(report) => {
                self.succeeded(report);
                let next = if report.more { Some(Duration::ZERO) } else { self.schedule.after_success() };
                let more = report.more && !self.stop.is_cancelled();
                self.note(next.unwrap_or(NEVER), more || J::PLACEMENT == Placement::Leader).await;
                return if more { Pause::Now } else { self.idle(next) };
            }
            Outcome::Failed(error) => {
                self.log(&error);
                (Failed::Error, error.to_string())
            }
            Outcome::Panicked => (Failed::Panic, "the job panicked; the log has more".to_owned()),
            Outcome::Lost => (Failed::Lost, taken_over().to_string()),
        };
        self.board.failed(J::NAME, now, failure.0, &failure.1);
        if failure.0 == Failed::Lost {
            (self.lease, self.unnoted) = (None, Ended::default());
            return self.elsewhere();
        }
        self.failures = self.failures.saturating_add(1);
        self.unnoted.runs += 1;
        self.unnoted.failures += 1;
        self.unnoted.error = Some(failure.1);
        let next = self.schedule.after_failures(self.failures);
        self.noted_at = None;
        self.note(next, J::PLACEMENT == Placement::Leader).await;
        self.idle(Some(next))
    }

    fn succeeded(&mut self, report: Report) {
        self.board.succeeded(J::NAME, self.clock.now(), report);
        if self.failures > 0 {
            tracing::info!(job = J::NAME, failures = self.failures, "a background job succeeds again");
            (self.failures, self.noted_at) = (0, None);
        }
        self.unnoted.runs += 1;
        self.unnoted.items += report.items;
        self.unnoted.error = None;
    }

    /// The first failure is worth a warning; whoever wants to see all of them has the metrics.
    fn log(&self, error: &Error) {
        let cause = error.cause.as_ref();
        if self.failures == 0 {
            tracing::warn!(job = J::NAME, %error, ?cause, "a background job failed and will be tried again");
        } else {
            tracing::debug!(job = J::NAME, %error, ?cause, failures = self.failures, "a background job failed again");
        }
    }

    /// Tells the database how it went, a leader not each time. A lease that is not kept is given back with that.
    async fn note(&mut self, next: Duration, keep: bool) {
        let Some(lease) = self.lease.clone() else { return };
        if keep && self.noted_at.is_some_and(|noted| noted.elapsed() < NOTE) {
            return;
        }
        self.unnoted.next = next;
        self.unnoted.keep = keep;
        if !keep {
            self.lease = None;
        }
        match self.others.record(&lease, self.claimed(), self.unnoted.clone()).await {
            Ok(true) => (self.unnoted, self.noted_at) = (Ended::default(), Some(Instant::now())),
            Ok(false) => (self.lease, self.unnoted) = (None, Ended::default()),
            // The next note has it.
            Err(error) => tracing::debug!(job = J::NAME, %error, "how a job went cannot be noted now"),
        }
    }

    /// Nothing to do for so long, or until somebody wakes the job.
    fn idle(&self, pause: Option<Duration>) -> Pause {
        let state = if pause.is_some() { State::Idle } else { State::Done };
        let next = pause.map(|pause| self.clock.now() + pause);
        self.board.waits(J::NAME, state, next, self.lease.is_some());
        match (pause, J::PLACEMENT) {
            (None, _) => Pause::UntilWoken,
            (Some(pause), Placement::OneServer) => Pause::For(pause.min(LOOK)),
            (Some(pause), _) => Pause::For(pause),
        }
    }

    fn elsewhere(&self) -> Pause {
        self.board.waits(J::NAME, State::Elsewhere, None, false);
        Pause::For(self.schedule.period().map_or(WATCH, |period| period.min(WATCH)))
    }

    /// The last run, where there is one, and the end of the lease.
    async fn end(&mut self) {
        if J::LAST_RUN {
            let outcome = self.run(Run::last()).await;
            self.settle(outcome).await;
        }
        self.note(self.schedule.period().unwrap_or(NEVER), false).await;
        self.board.waits(J::NAME, State::Done, None, false);
    }

    fn claimed(&self) -> Claimed {
        let longest_pause = self.schedule.longest_pause().unwrap_or(NEVER);
        Claimed { name: J::NAME, placement: J::PLACEMENT, longest_pause }
    }
}
