//! Jobs for revocations.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::authn::revocation::{self, REFRESH, Revocations};
use crate::{
    base::Result,
    identity::sessions::revocations::Seen,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

/// One of this many reads is complete: changes by hand, or by a server of an earlier version, have no revision of their
/// own.
const WHOLE_EVERY: u32 = 240;
/// How often revocations of expired tokens are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// Maximum number of rows deleted in one transaction, of each table.
const PRUNE_BATCH: u64 = 1000;

/// Reads the revocations of other processes. While the database is unavailable, the known ones stay in force.
pub struct ReadRevocations {
    store: Store,
    revocations: Revocations,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    reads: u32,
    seen: Option<Seen>,
}

impl ReadRevocations {
    pub fn new(revocations: &Revocations, store: &Store) -> Self {
        Self { store: store.clone(), revocations: revocations.clone(), progress: Mutex::default() }
    }

    /// The position to read from; `None` for a complete read.
    fn begin(&self) -> Option<Seen> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = progress.reads.is_multiple_of(WHOLE_EVERY);
        progress.reads = progress.reads.wrapping_add(1);
        progress.seen.clone().filter(|_| !whole)
    }
}

impl Job for ReadRevocations {
    const NAME: &'static str = "revocations";
    const PLACEMENT: Placement = Placement::EveryServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(REFRESH).with_retry(REFRESH, REFRESH)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        let seen = revocation::load(&self.store, &self.revocations, self.begin()).await?;
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).seen = Some(seen);
        Ok(Report::default())
    }
}

/// Deletes revocations of tokens that expired long ago.
#[derive(Debug)]
pub struct PruneRevocations(Store);

impl PruneRevocations {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for PruneRevocations {
    const NAME: &'static str = "ended-revocations";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PRUNE_EVERY)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        Ok(Report::batch(revocation::prune(&self.0, PRUNE_BATCH).await?, PRUNE_BATCH))
    }
}
