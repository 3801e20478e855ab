//! Jobs of the manager surface.

use std::time::Duration;

use super::{billing::BillingSettings, invoices};
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

const PERIOD: Duration = Duration::from_secs(600);
/// The most invoices of one run.
const BATCH: u64 = 100;

/// Stores the invoices of months that are closed.
#[derive(Debug)]
pub struct CloseMonths {
    store: Store,
    settings: BillingSettings,
}

impl CloseMonths {
    pub fn new(store: &Store, settings: &BillingSettings) -> Self {
        Self { store: store.clone(), settings: settings.clone() }
    }
}

impl Job for CloseMonths {
    const NAME: &'static str = "billing-months";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        let closed = invoices::close(&self.store, &self.settings, self.store.clock().now(), BATCH).await?;
        if closed > 0 {
            tracing::info!(closed, "stored the invoices of closed months");
        }
        Ok(Report::batch(closed, BATCH))
    }
}
