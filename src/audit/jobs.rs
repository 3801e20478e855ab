//! Jobs that write aggregates to the audit log: each server writes its own counts, and the rest at shutdown.

use std::time::Duration;

use super::{ApiKeyUses, Denials, api_key_use, denials};
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

/// How often completed minutes are written.
const PERIOD: Duration = Duration::from_secs(10);

/// Writes the counts of denied calls.
pub struct AuditDenials {
    denials: Denials,
    store: Store,
}

impl AuditDenials {
    /// Writes these counts.
    pub fn new(denials: &Denials, store: &Store) -> Self {
        Self { denials: denials.clone(), store: store.clone() }
    }
}

impl Job for AuditDenials {
    const NAME: &'static str = "audit-denials";
    const PLACEMENT: Placement = Placement::EveryServer;
    const LAST_RUN: bool = true;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD).with_retry(PERIOD, PERIOD)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        Ok(Report::done(denials::flush(&self.denials, &self.store, run.is_last()).await?))
    }
}

/// Writes the counts of uses of API keys.
pub struct AuditApiKeyUse {
    uses: ApiKeyUses,
    store: Store,
}

impl AuditApiKeyUse {
    /// Writes these counts.
    pub fn new(uses: &ApiKeyUses, store: &Store) -> Self {
        Self { uses: uses.clone(), store: store.clone() }
    }
}

impl Job for AuditApiKeyUse {
    const NAME: &'static str = "audit-api-key-use";
    const PLACEMENT: Placement = Placement::EveryServer;
    const LAST_RUN: bool = true;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD).with_retry(PERIOD, PERIOD)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        Ok(Report::done(api_key_use::flush(&self.uses, &self.store, run.is_last()).await?))
    }
}
