//! Jobs for sessions of devices and reports of gateways.

use std::time::Duration;

use time::Duration as Time;

use crate::{
    base::Result,
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{
        Stamp, Store, Tx,
        tables::{access_sessions_are_due, prune_access_sessions, prune_metering_reports},
    },
};

/// How often sessions are ended that have expired or whose gateway has drained.
const ENDED: Duration = Duration::from_secs(10);
const PRUNED: Duration = Duration::from_secs(3600);
/// Maximum number of sessions that one transaction ends because they have expired, and of gateways whose sessions it ends.
const SESSIONS: u64 = 500;
const GATEWAYS: u64 = 20;
/// Maximum number of rows deleted in one transaction.
const BATCH: u64 = 1000;
/// How long sessions are kept after their end, and reports after their arrival.
const KEPT_SESSIONS: Time = Time::days(90);
const KEPT_REPORTS: Time = Time::days(400);

/// Ends sessions that have expired, and those of drained gateways.
#[derive(Debug)]
pub struct EndSessions(Store);

impl EndSessions {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for EndSessions {
    const NAME: &'static str = "session-expiry";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(ENDED)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        if !access_sessions_are_due(self.0.read(), Stamp::from(self.0.clock().now())).await? {
            return Ok(Report::done(0));
        }
        let (expired, drained) = run.maintain(&self.0, "session.expire", (), end).await?;
        Ok(Report { items: expired + drained, more: expired >= SESSIONS || drained >= GATEWAYS })
    }
}

/// Deletes old sessions and reports.
#[derive(Debug)]
pub struct PruneSessions(Store);

impl PruneSessions {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for PruneSessions {
    const NAME: &'static str = "session-pruning";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PRUNED)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        let (sessions, reports) = run.maintain(&self.0, "session.prune", (), prune).await?;
        Ok(Report { items: sessions + reports, more: sessions.max(reports) >= BATCH })
    }
}

async fn end(tx: &Tx, (): &()) -> Result<(u64, u64)> {
    Ok((tx.end_expired_sessions(SESSIONS).await?, tx.end_drained_sessions(GATEWAYS).await?))
}

async fn prune(tx: &Tx, (): &()) -> Result<(u64, u64)> {
    let now = tx.time().await?;
    let sessions = prune_access_sessions(tx.conn(), Stamp::from(now - KEPT_SESSIONS), BATCH).await?;
    let reports = prune_metering_reports(tx.conn(), Stamp::from(now - KEPT_REPORTS), BATCH).await?;
    Ok((sessions, reports))
}
