//! Jobs for the reports of gateways.

use std::time::Duration;

use super::Reports;
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

/// How often reports are written.
const PERIOD: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(10);

/// Writes what gateways have applied and refused.
pub struct RecordReports {
    reports: Reports,
    store: Store,
    /// How many devices and gateways must have reported on a canary before it is withdrawn.
    least: i64,
}

impl RecordReports {
    pub fn new(reports: &Reports, store: &Store, least: i64) -> Self {
        Self { reports: reports.clone(), store: store.clone(), least }
    }
}

impl Job for RecordReports {
    const NAME: &'static str = "gateway-reports";
    const PLACEMENT: Placement = Placement::EveryServer;
    const LAST_RUN: bool = true;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD).with_retry(PERIOD, RETRY)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        Ok(Report::done(self.reports.flush(&self.store, self.least).await?))
    }
}
