//! Normalizes text that servers of older versions wrote.

use std::time::Duration;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{Store, older_text},
};

/// Servers of the previous version may still write such text.
const PERIOD: Duration = Duration::from_secs(3600);
/// The delay after a failure.
const RETRY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct NormalizeText(Store);

impl NormalizeText {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for NormalizeText {
    const NAME: &'static str = "text-normalization";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        // Also at each start, because the last server of the previous version may have just stopped.
        Schedule::every(PERIOD).at_each_start().with_retry(RETRY, RETRY)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        // Changed rows stay changed; the next run checks all rows again.
        let Some(renewed) = run.until_stopped(older_text::renew(&self.0)).await else {
            return Ok(Report { items: 0, more: true });
        };
        let rows = renewed?;
        if rows > 0 {
            tracing::info!(rows, "text from an older version was normalized");
        }
        Ok(Report::done(rows))
    }
}
