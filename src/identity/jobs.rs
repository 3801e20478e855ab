//! Jobs for sessions.

use std::time::Duration;

use super::sessions::ungranted;
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

/// How often the ends of grants are checked: an expired one is refused within a second, of which others need a part to read revocations.
const PERIOD: Duration = Duration::from_millis(250);
/// Maximum number of sessions that one transaction ends.
const BATCH: u64 = 100;

/// Ends the sessions of expired grants. Every server does so, because none may depend on another one for it.
#[derive(Debug)]
pub struct EndGrants(Store);

impl EndGrants {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for EndGrants {
    const NAME: &'static str = "grant-expiry";
    const PLACEMENT: Placement = Placement::EveryServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD).with_retry(PERIOD, PERIOD)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        Ok(Report::batch(ungranted::end(&self.0, BATCH).await?, BATCH))
    }
}
