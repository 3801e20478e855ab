//! How servers agree on who runs a job, and when.

use std::time::Duration;

use super::{
    Lease, Leases, Placement,
    record::{self, Begun, Ended},
};
use crate::{base::Result, store::Store};

/// How long a server that is silent keeps a lease.
pub(super) const TTL: Duration = Duration::from_secs(10);

/// What a runner asks the other servers, by way of the database.
pub(super) trait Coordination: Send + Sync + 'static {
    /// Takes the lease of a job that is due, and notes that a run begins. `force` has it be due.
    fn claim(&self, job: Claimed, force: bool) -> impl Future<Output = Result<Claim>> + Send;

    /// Renews a lease; `false` if it is lost.
    fn renew(&self, lease: &Lease) -> impl Future<Output = Result<bool>> + Send;

    /// Notes how runs ended; `false` if the lease is lost, and then nothing is noted.
    fn record(&self, lease: &Lease, job: Claimed, ended: Ended) -> impl Future<Output = Result<bool>> + Send;
}

/// A job that one server runs at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed {
    pub name: &'static str,
    pub placement: Placement,
    /// The longest time between two runs.
    pub longest_pause: Duration,
}

/// The answer to a claim.
#[derive(Debug)]
pub(super) enum Claim {
    /// The job is this server's.
    Mine(Lease),
    /// It is due in so long.
    NotDue(Duration),
    /// Another server runs it.
    Elsewhere,
}

/// Coordination by leases and the table of jobs.
pub(super) struct Database {
    store: Store,
    leases: Leases,
}

impl Database {
    /// For a server of that name.
    pub fn new(store: &Store, holder: &str) -> Self {
        Self { store: store.clone(), leases: Leases::new(store, holder) }
    }
}

impl Coordination for Database {
    async fn claim(&self, job: Claimed, force: bool) -> Result<Claim> {
        let by_time = job.placement == Placement::OneServer && !force;
        // Asked first, so that a job that is not due writes nothing.
        if by_time && let Some(wait) = record::wait(&self.store, job.name, job.longest_pause).await? {
            return Ok(Claim::NotDue(wait));
        }
        let Some(lease) = self.leases.take(job.name, TTL).await? else { return Ok(Claim::Elsewhere) };
        Ok(match record::begin(&self.store, &lease, job.name, by_time.then_some(job.longest_pause)).await? {
            Begun::Yes => Claim::Mine(lease),
            Begun::NotDue(wait) => Claim::NotDue(wait),
            Begun::Lost => Claim::Elsewhere,
        })
    }

    async fn renew(&self, lease: &Lease) -> Result<bool> {
        lease.renew(&self.store).await
    }

    async fn record(&self, lease: &Lease, job: Claimed, ended: Ended) -> Result<bool> {
        record::end(&self.store, lease, job.name, job.placement, ended).await
    }
}
