//! Jobs for certificates.

use std::time::Duration;

use time::Duration as Time;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{Stamp, Store, Tx, tables::delete_ended_spcs},
};

const PERIOD: Duration = Duration::from_secs(3600);
/// Maximum number of certificates deleted in one transaction.
const BATCH: u64 = 1000;
/// How long a certificate is kept after its end.
const KEPT: Time = Time::days(30);

/// Deletes certificates that ended 30 days ago.
#[derive(Debug)]
pub struct PruneSpcs(Store);

impl PruneSpcs {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for PruneSpcs {
    const NAME: &'static str = "spc-pruning";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        Ok(Report::batch(run.maintain(&self.0, "spc.prune", (), prune).await?, BATCH))
    }
}

async fn prune(tx: &Tx, (): &()) -> Result<u64> {
    let now = tx.time().await?;
    delete_ended_spcs(tx.conn(), Stamp::from(now - KEPT), BATCH).await
}
