//! Deletes expired idempotency keys with their stored responses.

use std::time::Duration;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{Store, idempotent},
};

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
        Ok(Report::done(idempotent::prune(&self.0).await?))
    }
}
