//! The context of one run of a job.

use std::{
    future::pending,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::time::{Instant, sleep_until};
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
    /// The start of the last write that renewed the lease.
    renewed: Mutex<Instant>,
    last: bool,
}

impl Run {
    /// A run without a lease: of a job that every server runs, or outside of a server.
    pub fn unleased() -> Self {
        Self::new(None, CancellationToken::new())
    }

    /// A run under a lease; `stop` cancels it.
    pub fn leased(lease: Lease, stop: &CancellationToken) -> Self {
        Self::new(Some(lease), stop.child_token())
    }

    pub(super) fn new(lease: Option<Lease>, stop: CancellationToken) -> Self {
        Self { lease, stop, lost: AtomicBool::new(false), renewed: Mutex::new(Instant::now()), last: false }
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

    /// Runs a write like [`Store::maintain`], fenced by the lease: if another server has taken the lease over, the write fails
    /// and the run is cancelled.
    pub async fn maintain<I, T, F>(&self, store: &Store, operation: &'static str, input: I, work: F) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> WriteFn<'t, I, T> + 'static,
    {
        let fenced = Fenced { lease: self.lease.clone(), input, work };
        let started = Instant::now();
        if let Some(done) = store.maintain(operation, fenced, run_fenced::<I, T, F>).await? {
            *self.renewed() = started;
            return Ok(done);
        }
        self.lose();
        Err(taken_over())
    }

    /// Renews the lease; if it is lost, the run is cancelled.
    pub async fn renew(&self, store: &Store) -> Result<()> {
        let Some(lease) = &self.lease else { return Ok(()) };
        let started = Instant::now();
        match lease.renew(store).await? {
            true => *self.renewed() = started,
            false => self.lose(),
        }
        Ok(())
    }

    /// Returns when the lease has not been renewed for so long that another server may have taken it over, and cancels the run.
    /// For runs with effects outside of the database, which the lease does not fence.
    pub async fn lapsed(&self) {
        let Some(lease) = &self.lease else { return pending().await };
        loop {
            let end = *self.renewed() + lease.ttl();
            if Instant::now() >= end {
                return self.lose();
            }
            sleep_until(end).await;
        }
    }

    fn renewed(&self) -> MutexGuard<'_, Instant> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Runs the write; `None`, and nothing is written, if the lease is lost.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_not_renewed_stops_the_run() {
        let run = Run::leased(Lease::of_test("a", 1), &CancellationToken::new());
        let mut lapsed = std::pin::pin!(run.lapsed());
        advance(Duration::from_secs(9)).await;
        assert!(lapsed.as_mut().now_or_never().is_none() && !run.is_stopped());
        *run.renewed() = Instant::now();
        advance(Duration::from_secs(9)).await;
        assert!(lapsed.as_mut().now_or_never().is_none() && !run.is_stopped(), "it was renewed");
        advance(Duration::from_secs(1)).await;
        assert!(lapsed.now_or_never().is_some() && run.is_stopped() && run.is_lost());
    }
}
