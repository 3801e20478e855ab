//! Jobs for policies.

use std::time::Duration;

use super::{
    ending::{ABORTED, EXPIRED, ONE_IN, expire_in, withdraw_in},
    global, standing,
};
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{
        Stamp, Store,
        tables::{PolicyRow, due_canaries},
    },
};

/// How often a server looks for what is due, with one query for all tenants.
const PERIOD: Duration = Duration::from_secs(1);
/// Maximum number of canaries that a run ends.
const BATCH: u64 = 50;

/// Ends canaries whose time is over, and withdraws those with too many refusals. What counts a refusal withdraws its canary as well, but
/// may be interrupted in between.
#[derive(Debug)]
pub struct EndCanaries {
    store: Store,
    /// How many reports there must be before a canary is withdrawn.
    least: i64,
}

impl EndCanaries {
    pub fn new(store: &Store, least: i64) -> Self {
        Self { store: store.clone(), least }
    }

    async fn due(&self, most: u64) -> Result<Vec<PolicyRow>> {
        due_canaries(self.store.read(), self.now(), self.least, ONE_IN, most).await
    }

    fn now(&self) -> Stamp {
        self.store.clock().now().into()
    }
}

impl Job for EndCanaries {
    const NAME: &'static str = "policy-canaries";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn is_wanted(&self) -> Result<bool> {
        Ok(!self.due(1).await?.is_empty())
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        let due = self.due(BATCH).await?;
        let mut failure = None;
        for row in &due {
            let tenant = row.tenant_id.tenant();
            let ended = match standing::is_over(row, self.now()) {
                true => run.maintain(&self.store, EXPIRED, tenant, expire_in).await,
                false => run.maintain(&self.store, ABORTED, (tenant, row.id, self.least), withdraw_in).await,
            };
            // One that fails does not delay the others.
            failure = ended.err().or(failure);
        }
        failure.map_or(Ok(Report::batch(due.len() as u64, BATCH)), Err)
    }
}

/// Copies global policies into the tenants that lack them.
#[derive(Debug)]
pub struct SpreadPolicies(Store);

impl SpreadPolicies {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for SpreadPolicies {
    const NAME: &'static str = "global-policies";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn is_wanted(&self) -> Result<bool> {
        global::is_behind(&self.0).await
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        Ok(Report::batch(global::spread(&self.0, run).await?, global::BATCH))
    }
}
