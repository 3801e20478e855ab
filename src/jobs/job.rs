//! The trait of a job.

use super::{Run, Schedule};
use crate::base::{Activator, Result};

/// A background job.
pub trait Job: Send + Sync + 'static {
    /// The name in the status, the metrics, the log, the table `jobs` and the lease.
    const NAME: &'static str;
    /// Which servers run it.
    const PLACEMENT: Placement;
    /// Whether it runs once more at shutdown, to save what is only in memory.
    const LAST_RUN: bool = false;

    /// When it runs.
    fn schedule(&self) -> Schedule;

    /// Wakes the job before its next run is due.
    fn activator(&self) -> Option<Activator> {
        None
    }

    /// Whether there is work. Checked before the lease is taken, so that a frequent job without work does not write.
    fn is_wanted(&self) -> impl Future<Output = Result<bool>> + Send {
        async { Ok(true) }
    }

    /// Does one bounded batch of work.
    fn run(&self, run: &Run) -> impl Future<Output = Result<Report>> + Send;
}

/// Which servers run a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Every server, independently.
    EveryServer,
    /// One server at a time. The database records when the job is due next, for all servers and across restarts.
    OneServer,
    /// One server, which keeps the lease between runs until it stops or fails. For jobs that run too often to claim a lease
    /// for each run.
    Leader,
}

impl Placement {
    /// The name in `/readyz?verbose`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EveryServer => "every_server",
            Self::OneServer => "one_server",
            Self::Leader => "leader",
        }
    }

    pub(super) fn is_leased(self) -> bool {
        self != Self::EveryServer
    }
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Items processed, in the job's own unit: rows, tenants, keys.
    pub items: u64,
    /// Whether there is more to do. If so, the next run follows at once.
    pub more: bool,
}

impl Report {
    /// Everything is done.
    pub fn done(items: u64) -> Self {
        Self { items, more: false }
    }

    /// One batch of at most `limit` items is done. A full batch means that there is more to do.
    pub fn batch(items: u64, limit: u64) -> Self {
        Self { items, more: items >= limit }
    }
}
