//! Coordination between servers: which of them runs a job, and when.

use std::time::Duration;

use super::{
    Lease, Leases, Placement,
    record::{self, Begin, RunSummary},
};
use crate::{base::Result, store::Store};

/// The coordination with the other servers. The tests of the runner replace it and need no database.
pub(super) trait Coordination: Send + Sync + 'static {
    /// Takes the lease of a job that is due, and records the start of a run. `force` skips the check that it is due.
    fn claim(&self, job: JobInfo, force: bool) -> impl Future<Output = Result<Claim>> + Send;

    /// Renews a lease; `false` if it is lost.
    fn renew(&self, lease: &Lease) -> impl Future<Output = Result<bool>> + Send;

    /// Records the outcome of runs. `false`, and nothing is recorded, if the lease is lost.
    fn record(&self, lease: &Lease, job: JobInfo, ended: RunSummary) -> impl Future<Output = Result<bool>> + Send;
}

/// The properties of a job that coordination needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct JobInfo {
    pub name: &'static str,
    pub placement: Placement,
    /// The longest time between two runs.
    pub longest_pause: Duration,
}

/// The result of a claim.
#[derive(Debug)]
pub(super) enum Claim {
    /// This server runs the job, under this lease.
    Granted(Lease),
    /// The job is due after this time.
    NotDue(Duration),
    /// Another server holds the lease.
    HeldByOther,
}

/// Coordination by leases and the table `jobs`.
pub(super) struct Database {
    store: Store,
    leases: Leases,
}

impl Database {
    /// `holder` is the unique name of the server.
    pub fn new(store: &Store, holder: &str) -> Self {
        Self { store: store.clone(), leases: Leases::new(store, holder) }
    }
}

impl Coordination for Database {
    async fn claim(&self, job: JobInfo, force: bool) -> Result<Claim> {
        let by_time = job.placement == Placement::OneServer && !force;
        // Checked before the lease is taken: a job that is not due must not write.
        if by_time && let Some(wait) = record::wait(&self.store, job.name, job.longest_pause).await? {
            return Ok(Claim::NotDue(wait));
        }
        let Some(lease) = self.leases.take(job.name, Lease::TTL).await? else { return Ok(Claim::HeldByOther) };
        Ok(match record::begin(&self.store, &lease, job.name, by_time.then_some(job.longest_pause)).await? {
            Begin::Begun => Claim::Granted(lease),
            Begin::NotDue(wait) => Claim::NotDue(wait),
            Begin::Lost => Claim::HeldByOther,
        })
    }

    async fn renew(&self, lease: &Lease) -> Result<bool> {
        lease.renew(&self.store).await
    }

    async fn record(&self, lease: &Lease, job: JobInfo, ended: RunSummary) -> Result<bool> {
        record::end(&self.store, lease, job.name, job.placement, ended).await
    }
}
