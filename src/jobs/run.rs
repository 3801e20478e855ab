//! The context of one run of a job.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::Lease;
use crate::{
    base::{Error, Kind, Result, error::Reason},
    store::{Store, Tx, WriteFn},
};

/// The context of one run.
#[derive(Debug)]
pub struct Run {
    lease: Option<Lease>,
    stop: CancellationToken,
    lost: AtomicBool,
    last: bool,
}

impl Run {
    /// A run without a lease: of a job of every server, or outside of a server.
    pub fn unleased() -> Self {
        Self::new(None, CancellationToken::new())
    }

    /// A run under a lease; `stop` cancels it.
    pub fn leased(lease: Lease, stop: &CancellationToken) -> Self {
        Self::new(Some(lease), stop.child_token())
    }

    pub(super) fn new(lease: Option<Lease>, stop: CancellationToken) -> Self {
        Self { lease, stop, lost: AtomicBool::new(false), last: false }
    }

    /// The run at shutdown, which is not cancelled.
    pub fn last() -> Self {
        Self { last: true, ..Self::unleased() }
    }

    /// Whether this is the run at shutdown.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Whether the run is cancelled: the server is shutting down, or the lease is lost.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Runs `work`, and drops it if the run is cancelled first; then the result is `None`.
    pub async fn until_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.stop.run_until_cancelled(work).await
    }

    /// Runs a write like [`Store::maintain`], fenced by the lease: if another server has taken it over, the write fails and
    /// the run is cancelled.
    pub async fn maintain<I, T, F>(&self, store: &Store, operation: &'static str, input: I, work: F) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> WriteFn<'t, I, T> + 'static,
    {
        let fenced = Fenced { lease: self.lease.clone(), input, work };
        if let Some(done) = store.maintain(operation, fenced, run_fenced::<I, T, F>).await? {
            return Ok(done);
        }
        self.lose();
        Err(taken_over())
    }

    /// Renews the lease; if it is lost, the run is cancelled.
    pub async fn renew(&self, store: &Store) -> Result<()> {
        if let Some(lease) = &self.lease
            && !lease.renew(store).await?
        {
            self.lose();
        }
        Ok(())
    }

    /// The lease that it runs under.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Marks the lease as lost and cancels the run.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.stop.cancel();
    }

    /// Whether the lease is lost.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

/// A write that runs only under its lease.
struct Fenced<I, F> {
    lease: Option<Lease>,
    input: I,
    work: F,
}

/// Runs a write; `None`, and nothing is done, if the lease is lost.
async fn run_fenced<I, T, F>(tx: &Tx, fenced: &Fenced<I, F>) -> Result<Option<T>>
where
    I: Sync,
    F: for<'t> WriteFn<'t, I, T>,
{
    if let Some(lease) = &fenced.lease
        && !lease.hold(tx).await?
    {
        return Ok(None);
    }
    fenced.work.run(tx, &fenced.input).await.map(Some)
}

/// The error of a run whose lease is lost.
pub(super) fn taken_over() -> Error {
    Error::new(Kind::Aborted, Reason::Internal, "another server has taken the job over")
}
