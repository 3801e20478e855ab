//! The background jobs.

use std::time::Duration;

use super::{OpenBao, keeper::LeaseKeeper};
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
};

/// How often the jobs look whether they have work.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest delay after failures, which is also how late the end of an outage is noticed.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How long the revocation of leases may take when the server ends: less than jobs get for their last run.
const END: Duration = Duration::from_secs(4);

/// Keeps the token of the server valid, and checks whether OpenBAO can be used.
pub struct TendIdentity(OpenBao);

impl TendIdentity {
    pub fn new(bao: &OpenBao) -> Self {
        Self(bao.clone())
    }
}

impl Job for TendIdentity {
    const NAME: &'static str = "openbao-identity";
    const PLACEMENT: Placement = Placement::EveryServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD).with_retry(PERIOD, LONGEST_RETRY)
    }

    async fn is_wanted(&self) -> Result<bool> {
        Ok(self.0.is_due())
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        match run.until_stopped(self.0.tend()).await {
            Some(tended) => tended.map(|()| Report::done(1)).map_err(Into::into),
            None => Ok(Report::default()),
        }
    }
}

/// Renews the leases that the server holds for its own work, and revokes them at its end.
pub struct KeepLeases(LeaseKeeper);

impl KeepLeases {
    pub fn new(keeper: &LeaseKeeper) -> Self {
        Self(keeper.clone())
    }
}

impl Job for KeepLeases {
    const NAME: &'static str = "openbao-leases";
    const PLACEMENT: Placement = Placement::EveryServer;
    const LAST_RUN: bool = true;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn is_wanted(&self) -> Result<bool> {
        Ok(self.0.is_due())
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        if !run.is_last() {
            return Ok(run.until_stopped(self.0.step()).await.unwrap_or_default());
        }
        let count = self.0.count();
        match tokio::time::timeout(END, self.0.end()).await {
            Ok(0) => {}
            Ok(left) => tracing::warn!(left, "some leases could not be revoked; they end with their time"),
            Err(_) => tracing::warn!("not all leases could be revoked in time; the others end with their time"),
        }
        Ok(Report::done(u64::try_from(count).unwrap_or(u64::MAX)))
    }
}
