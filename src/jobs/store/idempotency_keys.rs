//! Deletes expired idempotency keys with their stored responses.

use std::time::Duration;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{Store, idempotent},
};

/// Maximum number of keys deleted in one transaction.
const BATCH: u64 = 1000;
const PERIOD: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub struct PruneIdempotencyKeys(Store);

impl PruneIdempotencyKeys {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for PruneIdempotencyKeys {
    const NAME: &'static str = "idempotency-keys";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        Ok(Report::batch(idempotent::prune(&self.0, BATCH).await?, BATCH))
    }
}
