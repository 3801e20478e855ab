//! Deletes outbox events after the retention.

use std::time::Duration;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{
        Store, Tx,
        outbox_retention::{self, Pruned},
    },
};

/// Maximum number of events deleted in one transaction.
const BATCH: u32 = 1000;

#[derive(Debug)]
pub struct PruneOutbox {
    store: Store,
    retention: Duration,
}

impl PruneOutbox {
    /// Keeps events for at least `retention`.
    pub fn new(store: &Store, retention: Duration) -> Self {
        Self { store: store.clone(), retention }
    }
}

impl Job for PruneOutbox {
    const NAME: &'static str = "outbox-retention";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::for_retention(self.retention)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        let pruned = run.maintain(&self.store, "outbox.prune", self.retention, prune_in).await?;
        Ok(Report { items: pruned.events, more: pruned.more })
    }
}

async fn prune_in(tx: &Tx, retention: &Duration) -> Result<Pruned> {
    outbox_retention::prune(tx, *retention, BATCH).await
}
