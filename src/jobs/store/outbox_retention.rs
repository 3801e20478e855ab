//! Deletes events from the outbox that are older than anybody was promised.

use std::time::Duration;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{
        Store, Tx,
        outbox_retention::{self, Pruned},
    },
};

/// Longest time between two runs. An event may stay for so much longer.
const LONGEST_PERIOD: Duration = Duration::from_secs(3600);
/// Shortest one.
const SHORTEST_PERIOD: Duration = Duration::from_secs(10);
/// Runs within the retention.
const RUNS: u32 = 24;
/// Most events that one transaction deletes.
const BATCH: u32 = 1000;

/// The job.
#[derive(Debug)]
pub struct PruneOutbox {
    store: Store,
    retention: Duration,
}

impl PruneOutbox {
    /// Keeps events for `retention` at least.
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
