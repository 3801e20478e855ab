//! Jobs for what was revoked.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::revocation::{self, REFRESH, Revocations};
use crate::{
    base::Result,
    identity::revoked::Seen,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

/// After so many readings one reads everything: what was changed by hand, or by a server of an earlier version, has no
/// revision of its own.
const WHOLE_EVERY: u32 = 240;
/// How often the database forgets revocations of tokens that have ended.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// Reads the revocations of other processes. While the database is away, what is known holds.
pub struct ReadRevocations {
    store: Store,
    revocations: Revocations,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    readings: u32,
    seen: Option<Seen>,
}

impl ReadRevocations {
    /// Into these.
    pub fn new(revocations: &Revocations, store: &Store) -> Self {
        Self { store: store.clone(), revocations: revocations.clone(), progress: Mutex::default() }
    }

    /// How far this reading begins; `None` for one that reads everything.
    fn begin(&self) -> Option<Seen> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = progress.readings.is_multiple_of(WHOLE_EVERY);
        progress.readings = progress.readings.wrapping_add(1);
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

/// Forgets revocations of tokens that ended long ago.
#[derive(Debug)]
pub struct ForgetRevocations(Store);

impl ForgetRevocations {
    /// Of a store.
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for ForgetRevocations {
    const NAME: &'static str = "ended-revocations";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(FORGET_EVERY)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        Ok(Report::done(revocation::forget(&self.0).await?))
    }
}
