//! What a job is.

use super::{Run, Schedule};
use crate::base::{Activator, Result};

/// Work in the background.
pub trait Job: Send + Sync + 'static {
    /// The name by which operators know it: in the status, the metrics, the log and, where there is one, the lease.
    const NAME: &'static str;
    /// Which servers do the work.
    const PLACEMENT: Placement;
    /// Whether it runs once more when the server ends, to keep what would be lost with the process.
    const LAST_RUN: bool = false;

    /// When it runs.
    fn schedule(&self) -> Schedule;

    /// What has it run before its time.
    fn activator(&self) -> Option<Activator> {
        None
    }

    /// Whether there is anything to do. Asked before each run, and before the lease is taken, so that a job that often has
    /// nothing to do writes nothing then.
    fn is_wanted(&self) -> impl Future<Output = Result<bool>> + Send {
        async { Ok(true) }
    }

    /// Does a bounded piece of the work.
    fn run(&self, run: &Run) -> impl Future<Output = Result<Report>> + Send;
}

/// Which servers do the work of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each server, for itself.
    EveryServer,
    /// One server at a time, any of them. The database knows when the job is due, for all servers together and over
    /// restarts.
    OneServer,
    /// One server, until it ends or is silent for the time of the lease. For jobs that run too often to be agreed upon each
    /// time.
    Leader,
}

impl Placement {
    /// The word for operators.
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

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How much, in a unit of the job's own: rows, tenants, keys.
    pub items: u64,
    /// Whether more is left: then the next run follows at once.
    pub more: bool,
}

impl Report {
    /// All there was to do is done.
    pub fn done(items: u64) -> Self {
        Self { items, more: false }
    }

    /// A batch is done; a full one leaves more.
    pub fn batch(items: u64, most: u64) -> Self {
        Self { items, more: items >= most }
    }
}
