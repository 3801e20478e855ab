//! What operators see of jobs: their status and their metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;

use super::{Placement, Report};

/// The outcomes of runs, as `tenantry_job_runs_total` names them.
const OUTCOMES: [&str; 4] = [SUCCESS, ERROR, PANIC, LOST];
const SUCCESS: &str = "success";
const ERROR: &str = "error";
const PANIC: &str = "panic";
const LOST: &str = "lost";

/// The jobs of a server with their status. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<BTreeMap<&'static str, Status>>>);

/// The status of a job on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// Which servers do the work.
    pub placement: Placement,
    /// What it does now.
    pub state: State,
    /// Whether this server holds the lease.
    pub holds_lease: bool,
    /// Runs that ended.
    pub runs: u64,
    /// Those of them that did not succeed.
    pub failures: u64,
    /// What they got done, in the job's own unit.
    pub items: u64,
    /// When the last run began.
    pub last_start: Option<OffsetDateTime>,
    /// When a run succeeded last.
    pub last_success: Option<OffsetDateTime>,
    /// How the last run ended that did not succeed.
    pub last_failure: Option<Failure>,
    /// When the next run is due here, as far as that is known.
    pub next_run: Option<OffsetDateTime>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for its time.
    Idle,
    /// It runs.
    Running,
    /// Another server runs it.
    Elsewhere,
    /// It has done all that it had to do.
    Done,
}

impl State {
    /// The word for operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Elsewhere => "elsewhere",
            Self::Done => "done",
        }
    }
}

/// How a run ended that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: OffsetDateTime,
    /// Why, as callers would be told: without the inner cause.
    pub error: String,
}

impl Board {
    /// The status of every job, by name.
    pub fn all(&self) -> Vec<Status> {
        self.jobs().values().cloned().collect()
    }

    /// The status of a job; `None` if this server has no such job.
    pub fn of(&self, name: &str) -> Option<Status> {
        self.jobs().get(name).cloned()
    }

    /// Puts a job on the board. Its counters are there from the start: what rises from nothing is no increase to Prometheus.
    pub(super) fn add(&self, name: &'static str, placement: Placement) {
        let status = Status {
            name,
            placement,
            state: State::Idle,
            holds_lease: false,
            runs: 0,
            failures: 0,
            items: 0,
            last_start: None,
            last_success: None,
            last_failure: None,
            next_run: None,
        };
        self.jobs().insert(name, status);
        for outcome in OUTCOMES {
            metrics::counter!("tenantry_job_runs_total", "job" => name, "outcome" => outcome).increment(0);
        }
    }

    pub(super) fn begun(&self, name: &str, now: OffsetDateTime) {
        self.change(name, |status| {
            (status.state, status.last_start, status.next_run) = (State::Running, Some(now), None);
        });
    }

    pub(super) fn succeeded(&self, name: &'static str, now: OffsetDateTime, report: Report) {
        self.change(name, |status| {
            status.runs += 1;
            status.items += report.items;
            status.last_success = Some(now);
        });
        metrics::gauge!("tenantry_job_last_success_timestamp_seconds", "job" => name).set(now.unix_timestamp() as f64);
        count(name, SUCCESS);
    }

    pub(super) fn failed(&self, name: &'static str, now: OffsetDateTime, how: Failed, error: &str) {
        self.change(name, |status| {
            status.runs += 1;
            status.failures += 1;
            status.last_failure = Some(Failure { at: now, error: error.to_owned() });
        });
        count(name, how.outcome());
    }

    /// What the job does until its next run.
    pub(super) fn waits(&self, name: &str, state: State, next_run: Option<OffsetDateTime>, holds_lease: bool) {
        self.change(name, |status| {
            (status.state, status.next_run, status.holds_lease) = (state, next_run, holds_lease);
        });
    }

    pub(super) fn holds(&self, name: &str, lease: bool) {
        self.change(name, |status| status.holds_lease = lease);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Status)) {
        if let Some(status) = self.jobs().get_mut(name) {
            change(status);
        }
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<&'static str, Status>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In what way a run did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    Error,
    Panic,
    Lost,
}

impl Failed {
    fn outcome(self) -> &'static str {
        match self {
            Self::Error => ERROR,
            Self::Panic => PANIC,
            Self::Lost => LOST,
        }
    }
}

fn count(name: &'static str, outcome: &'static str) {
    metrics::counter!("tenantry_job_runs_total", "job" => name, "outcome" => outcome).increment(1);
}

/// Measures a run.
pub(super) fn measure(name: &'static str, elapsed: Duration) {
    metrics::histogram!("tenantry_job_duration_seconds", "job" => name).record(elapsed.as_secs_f64());
}
