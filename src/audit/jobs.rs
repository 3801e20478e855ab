//! Writes the sums down. Each server does so for what it has counted, and what is left when it ends.

use std::time::Duration;

use super::{ApiKeyUses, Denials, api_key_use, denials};
use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

/// How often whole minutes are written down.
const PERIOD: Duration = Duration::from_secs(10);

/// Writes down which calls were refused.
pub struct AuditDenials {
    denials: Denials,
    store: Store,
}

impl AuditDenials {
    /// Of what is counted there.
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

/// Writes down how often API keys were used.
pub struct AuditApiKeyUse {
    uses: ApiKeyUses,
    store: Store,
}

impl AuditApiKeyUse {
    /// Of what is counted there.
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
