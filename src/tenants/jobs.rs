//! Jobs for tenants.

use std::time::Duration;

use super::{
    purge,
    soft_delete::{self, SWEEP},
};
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

const PERIOD: Duration = Duration::from_secs(600);

/// Deletes tenants after their grace period, and starts failed purges of deleted tenants again.
#[derive(Debug)]
pub struct DeleteExpiredTenants(Store);

impl DeleteExpiredTenants {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for DeleteExpiredTenants {
    const NAME: &'static str = "tenant-purge";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        let deleted = soft_delete::purge_due(&self.0).await? as u64;
        if deleted > 0 {
            tracing::info!(deleted, "deleted tenants past their grace period");
        }
        let again = purge::start_again(&self.0, SWEEP).await?;
        if again > 0 {
            tracing::warn!(again, "the purge of deleted tenants failed; trying again");
        }
        Ok(Report::batch(deleted.max(again), SWEEP))
    }
}
