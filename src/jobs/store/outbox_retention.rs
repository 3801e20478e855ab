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

/// The longest time between two runs. An event may be kept for this much longer.
const LONGEST_PERIOD: Duration = Duration::from_secs(3600);
/// The shortest time between two runs.
const SHORTEST_PERIOD: Duration = Duration::from_secs(10);
/// Runs during one retention.
const RUNS: u32 = 24;
/// Most events of one transaction.
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
        Schedule::every((self.retention / RUNS).clamp(SHORTEST_PERIOD, LONGEST_PERIOD))
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        let pruned = run.maintain(&self.store, "outbox.prune", self.retention, prune_in).await?;
        Ok(Report { items: pruned.events, more: pruned.more })
    }
}

async fn prune_in(tx: &Tx, retention: &Duration) -> Result<Pruned> {
    outbox_retention::prune(tx, *retention, BATCH).await
}
