//! The job that deletes operations some time after their end.

use std::time::Duration;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{
        Stamp, Store, Tx,
        entities::operations::{Column, Entity},
    },
};

/// The longest time between two runs.
const LONGEST_PERIOD: Duration = Duration::from_secs(3600);
/// The shortest time between two runs.
const SHORTEST_PERIOD: Duration = Duration::from_secs(10);
/// Runs during one retention.
const RUNS: u32 = 24;
/// Most operations of one transaction.
const BATCH: u64 = 500;

/// Deletes operations after the retention.
#[derive(Debug)]
pub struct PruneOperations {
    store: Store,
    retention: Duration,
}

impl PruneOperations {
    /// Operations are kept for `retention` after their end.
    pub fn new(store: &Store, retention: Duration) -> Self {
        Self { store: store.clone(), retention }
    }
}

impl Job for PruneOperations {
    const NAME: &'static str = "ended-operations";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every((self.retention / RUNS).clamp(SHORTEST_PERIOD, LONGEST_PERIOD))
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        let deleted = run.maintain(&self.store, "operation.prune", self.retention, prune).await?;
        Ok(Report::batch(deleted, BATCH))
    }
}

/// Deletes one batch of operations that ended before the retention.
async fn prune(tx: &Tx, retention: &Duration) -> Result<u64> {
    let before = Stamp::from(tx.time().await? - *retention);
    let old = Entity::find().select_only().column(Column::Id).filter(Column::EndedAt.lt(before)).limit(BATCH);
    let old: Vec<Uuid> = old.into_tuple().all(tx.conn()).await?;
    if old.is_empty() {
        return Ok(0);
    }
    Ok(Entity::delete_many().filter(Column::Id.is_in(old)).exec(tx.conn()).await?.rows_affected)
}
