//! Jobs for tenants.

use std::time::Duration;

use super::soft_delete::{self, SWEEP};
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

const PERIOD: Duration = Duration::from_secs(600);

/// Deletes tenants after their grace period.
#[derive(Debug)]
pub struct PurgeTenants(Store);

impl PurgeTenants {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for PurgeTenants {
    const NAME: &'static str = "tenant-purge";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        let gone = soft_delete::purge_due(&self.0).await? as u64;
        if gone > 0 {
            tracing::info!(gone, "purged tenants past their grace period");
        }
        Ok(Report::batch(gone, SWEEP))
    }
}
