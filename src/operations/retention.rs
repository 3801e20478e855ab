//! The job that deletes ended operations after the retention.

use std::time::Duration;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{
        Exec, Fetch, Stamp, Store, Tx,
        tables::operations::{Column, Entity},
    },
};

/// Maximum number of operations deleted in one transaction.
const BATCH: u64 = 500;

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
        Schedule::for_retention(self.retention)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        let deleted = run.maintain(&self.store, "operation.prune", self.retention, prune).await?;
        Ok(Report::batch(deleted, BATCH))
    }
}

/// Deletes one batch of operations that ended longer ago than the retention.
async fn prune(tx: &Tx, retention: &Duration) -> Result<u64> {
    let before = Stamp::from(tx.time().await? - *retention);
    let old = Entity::find().select_only().column(Column::Id).filter(Column::EndedAt.lt(before)).limit(BATCH);
    let old: Vec<Uuid> = old.into_tuple().fetch_all(tx.conn()).await?;
    if old.is_empty() {
        return Ok(0);
    }
    Ok(Entity::delete_many().filter(Column::Id.is_in(old)).run(tx.conn()).await?)
}
