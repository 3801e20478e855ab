//! The status and the metrics of jobs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;

use super::{Placement, Report};

/// Values of the label `outcome` of `tenantry_job_runs_total`.
const OUTCOMES: [&str; 4] = [SUCCESS, ERROR, PANIC, LOST];
const SUCCESS: &str = "success";
const ERROR: &str = "error";
const PANIC: &str = "panic";
const LOST: &str = "lease_lost";

/// The status of all jobs of a server. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<BTreeMap<&'static str, Status>>>);

/// The status of a job on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub name: &'static str,
    /// Which servers run it.
    pub placement: Placement,
    /// What it is doing.
    pub state: State,
    /// Whether this server holds the lease, as far as it knows: a lease can expire unnoticed between two runs.
    pub holds_lease: bool,
    /// Completed runs.
    pub runs: u64,
    /// Completed runs that did not succeed.
    pub failures: u64,
    /// Items processed by all runs, in the job's own unit.
    pub items: u64,
    /// Start of the last run.
    pub last_start: Option<OffsetDateTime>,
    /// End of the last run that succeeded.
    pub last_success: Option<OffsetDateTime>,
    /// The last run that did not succeed.
    pub last_failure: Option<Failure>,
    /// When the next run is due, if that is known.
    pub next_run: Option<OffsetDateTime>,
}

/// What a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting until the next run is due.
    Idle,
    Running,
    /// Another server holds the lease; this one takes it over if that server stops.
    Standby,
    /// There is no further run, unless the job is woken.
    Done,
}

impl State {
    /// The name in `/readyz?verbose`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Standby => "standby",
            Self::Done => "done",
        }
    }
}

/// A run that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When the run ended.
    pub at: OffsetDateTime,
    /// The public error text, without the internal cause.
    pub error: String,
}

impl StatusBoard {
    /// The status of every job, by name.
    pub fn all(&self) -> Vec<Status> {
        self.jobs().values().cloned().collect()
    }

    /// The status of a job; `None` if this server has no such job.
    pub fn of(&self, name: &str) -> Option<Status> {
        self.jobs().get(name).cloned()
    }

    /// Adds a job. Its counters start at 0, because Prometheus sees no increase in a series that appears with its first value.
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

    /// Sets what the job does until its next run.
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

/// Why a run did not succeed.
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

/// Records the duration of a run.
pub(super) fn measure(name: &'static str, elapsed: Duration) {
    metrics::histogram!("tenantry_job_duration_seconds", "job" => name).record(elapsed.as_secs_f64());
}
