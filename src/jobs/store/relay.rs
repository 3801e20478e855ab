//! The relay for PostgreSQL: numbers the outbox and seals the audit log after each commit. With SQLite, the writer does both.

use std::time::Duration;

use crate::{
    base::{Activator, Result},
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{
        Store, Tx,
        relay::{self, Step},
    },
};

/// How often the relay checks for rows that other servers committed.
const POLL: Duration = Duration::from_millis(200);
/// The pause after a run, in which rows accumulate: one update of many rows is much cheaper than many updates.
const GATHER: Duration = Duration::from_millis(20);
/// The delay after a failure.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Relay(Store);

impl Relay {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }

    /// Numbers and seals committed rows, a limited number at a time.
    pub async fn step(&self, run: &Run) -> Result<Step> {
        run.maintain(&self.0, "relay.step", (), step_in).await
    }
}

async fn step_in(tx: &Tx, (): &()) -> Result<Step> {
    relay::step(tx).await
}

impl Job for Relay {
    const NAME: &'static str = "relay";
    const PLACEMENT: Placement = Placement::Leader;

    fn schedule(&self) -> Schedule {
        Schedule::every(POLL).with_rest(GATHER).with_retry(RETRY, RETRY)
    }

    fn activator(&self) -> Option<Activator> {
        Some(self.0.committed().clone())
    }

    async fn is_wanted(&self) -> Result<bool> {
        relay::is_work_waiting(&self.0).await
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        let step = self.step(run).await?;
        if step.numbered > 0 {
            self.0.numbered().activate();
        }
        Ok(Report { items: step.numbered + step.sealed, more: step.is_full() })
    }
}
