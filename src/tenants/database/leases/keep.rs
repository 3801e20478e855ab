//! The job that keeps the leases of programs valid, and ends those that are over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{fault, revoke, times};
use crate::{
    base::{Cx, Error, Result},
    jobs::{Job, Placement, Report, Run, Schedule, backoff},
    openbao::{Cause, OpenBaoError},
    store::{
        Stamp, Tx,
        audit::{AuditRecord, Outcome as Audited},
        tables::{
            DatabaseLeaseOutcome as Outcome, DatabaseLeaseRow, database_leases_are_due, due_database_leases,
            settle_database_lease,
        },
    },
    tenants::database::Databases,
};

/// How often the job looks whether leases are due.
const PERIOD: Duration = Duration::from_secs(1);
/// How many leases one run renews or revokes, and how many of them at the same time.
const BATCH: u64 = 256;
const CONCURRENT: usize = 8;
/// After how many failures that concern OpenBAO itself a run makes no further calls.
const ENOUGH_FAILURES: usize = CONCURRENT;
/// The delay after the first failure, and the longest one.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Keeps the leases of programs. One server does this for all.
#[derive(Debug)]
pub struct KeepDatabaseLeases(Databases);

impl KeepDatabaseLeases {
    pub fn new(databases: &Databases) -> Self {
        Self(databases.clone())
    }
}

/// The time of the database during a run.
#[derive(Clone, Copy)]
struct RunClock {
    begun: OffsetDateTime,
    at: Instant,
}

impl RunClock {
    fn now(self) -> OffsetDateTime {
        self.begun + self.at.elapsed()
    }
}

/// What became of a lease.
struct Kept {
    lease: DatabaseLeaseRow,
    outcome: Outcome,
    /// Whether it ended before its time.
    lost: bool,
}

impl Job for KeepDatabaseLeases {
    const NAME: &'static str = "database-leases";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn is_wanted(&self) -> Result<bool> {
        if self.0.openbao.is_none() {
            return Ok(false);
        }
        let store = &self.0.store;
        let now = store.time().await?;
        database_leases_are_due(store.read(), now.into()).await
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        let store = &self.0.store;
        let clock = RunClock { begun: store.time().await?, at: Instant::now() };
        let due = due_database_leases(store.read(), clock.begun.into(), BATCH).await?;
        let (count, failures) = (due.len() as u64, AtomicUsize::new(0));
        let keeping = stream::iter(due)
            .map(|lease| self.keep(lease, clock, &failures))
            .buffer_unordered(CONCURRENT)
            .collect::<Vec<_>>();
        let Some(kept) = run.until_stopped(keeping).await else { return Ok(Report::default()) };
        let lost = kept.iter().filter(|kept| kept.lost).map(|kept| self.lost(&kept.lease)).collect();
        run.maintain(store, "database.leases.keep", Arc::from(kept), settle).await?;
        store.append_audit(lost).await?;
        Ok(Report::batch(count, BATCH))
    }
}

async fn settle(tx: &Tx, kept: &Arc<[Kept]>) -> Result<()> {
    for Kept { lease, outcome, .. } in kept.iter() {
        settle_database_lease(tx.conn(), lease, *outcome).await?;
    }
    Ok(())
}

impl KeepDatabaseLeases {
    /// Does what a lease needs.
    async fn keep(&self, lease: DatabaseLeaseRow, clock: RunClock, failures: &AtomicUsize) -> Kept {
        let now = clock.now();
        let is_over = lease.ended || lease.ends_at.time() <= now;
        if lease.lapses_at.time() <= now {
            return Kept { outcome: Outcome::Gone, lost: !is_over, lease };
        }
        if failures.load(Ordering::Relaxed) >= ENOUGH_FAILURES {
            return Kept { outcome: delayed(&lease, now), lost: false, lease };
        }
        let done = match is_over {
            true => self.revoke(&lease).await.map(|()| Outcome::Gone),
            false => self.renew(&lease, now).await,
        };
        let outcome = match done {
            Ok(outcome) => outcome,
            Err(error) => {
                let is_shared = error.cause.is_none_or(Cause::can_pass);
                failures.fetch_add(usize::from(is_shared), Ordering::Relaxed);
                // One of many; the job reports the others with it.
                if failures.load(Ordering::Relaxed) <= 1 || !is_shared {
                    let cause = error.error.cause.as_deref();
                    tracing::warn!(lease = %lease.id, error = %error.error, cause, "cannot keep a lease of a program; trying again");
                }
                delayed(&lease, clock.now())
            }
        };
        Kept { lost: outcome == Outcome::Gone && !is_over, outcome, lease }
    }

    async fn revoke(&self, lease: &DatabaseLeaseRow) -> Result<(), Failed> {
        let bao = self.0.openbao()?;
        let id = revoke::open(&self.0, lease).await?;
        Ok(bao.revoke_lease(&id).await?)
    }

    /// Renews a lease for the time that it was granted first, or for the rest of its time.
    async fn renew(&self, lease: &DatabaseLeaseRow, now: OffsetDateTime) -> Result<Outcome, Failed> {
        let bao = self.0.openbao()?;
        let id = revoke::open(&self.0, lease).await?;
        // In whole seconds, not less than what is left.
        let left = (lease.ends_at.time() - now).whole_seconds() + 1;
        let by = time::Duration::seconds(lease.duration.min(left).max(1));
        match bao.renew_lease(&id, by.unsigned_abs()).await {
            Ok(renewed) => Ok(after_renewal(lease, now, by, renewed.duration)),
            Err(OpenBaoError { cause: Cause::NoLease, .. }) => Ok(Outcome::Gone),
            // It stays valid until it lapses.
            Err(OpenBaoError { cause: Cause::NotRenewable, .. }) => {
                Ok(Outcome::Renewed { lapses_at: lease.lapses_at, due_at: lease.lapses_at })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The audit event of a lease that ended in OpenBAO before its time, such as with the token of the server.
    fn lost(&self, lease: &DatabaseLeaseRow) -> AuditRecord {
        let tenant = lease.tenant_id.tenant();
        tracing::warn!(lease = %lease.id, %tenant, "a lease of a program ended in OpenBAO before its time");
        let cx = Cx::system("database.lease_lost", self.0.store.clock().clone());
        AuditRecord {
            tenant: Some(tenant),
            target: lease.id.as_hyphenated().to_string(),
            details: json!({}),
            ..AuditRecord::of(&cx, Audited::Success)
        }
    }
}

/// A failure, with its cause if it was a call to OpenBAO.
struct Failed {
    cause: Option<Cause>,
    error: Error,
}

impl From<OpenBaoError> for Failed {
    fn from(error: OpenBaoError) -> Self {
        Self { cause: Some(error.cause), error: fault::of(error) }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { cause: None, error }
    }
}

/// A renewal that grants less than it asked for reaches the longest life of the lease, which lapses then.
fn after_renewal(lease: &DatabaseLeaseRow, now: OffsetDateTime, by: time::Duration, granted: Duration) -> Outcome {
    let granted = time::Duration::try_from(granted).unwrap_or(by).min(by);
    let lapses_at = Stamp::from(now + granted);
    let due_at = match granted < by / 2 {
        true => lapses_at,
        false => times::due(now, granted, lease.ends_at.time()).into(),
    };
    Outcome::Renewed { lapses_at, due_at }
}

/// The next attempt, or the end of the lease if that is earlier.
fn delayed(lease: &DatabaseLeaseRow, now: OffsetDateTime) -> Outcome {
    let failures = u32::try_from(lease.failures).unwrap_or(u32::MAX).saturating_add(1);
    let next = Stamp::from(now + backoff(RETRY, LONGEST_RETRY, failures));
    Outcome::Delayed { due_at: next.min(lease.lapses_at) }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::base::{Access, TenantId, TenantScope};

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn at(seconds: i64) -> Stamp {
        Stamp::from(NOW + time::Duration::seconds(seconds))
    }

    fn lease(ends_at: i64, lapses_at: i64) -> DatabaseLeaseRow {
        let tenant = TenantId::from_uuid(Uuid::from_u128(7));
        DatabaseLeaseRow {
            tenant_id: TenantScope::grant(&Access::Platform, tenant, "acme").unwrap().into(),
            id: Uuid::from_u128(8),
            sealed: String::new(),
            duration: 3600,
            ended: false,
            failures: 0,
            created_at: at(0),
            ends_at: at(ends_at),
            lapses_at: at(lapses_at),
            due_at: at(0),
        }
    }

    #[test]
    fn a_renewal_that_is_granted_is_repeated_after_two_thirds() {
        let renewed = |by: i64, granted| {
            after_renewal(&lease(86_400, 0), NOW, time::Duration::seconds(by), Duration::from_secs(granted))
        };
        assert_eq!(renewed(3600, 3600), Outcome::Renewed { lapses_at: at(3600), due_at: at(2400) });
        // More than asked for is not relied on.
        assert_eq!(renewed(3600, 7200), Outcome::Renewed { lapses_at: at(3600), due_at: at(2400) });
        // The longest life of the lease.
        assert_eq!(renewed(3600, 600), Outcome::Renewed { lapses_at: at(600), due_at: at(600) });
    }

    #[test]
    fn the_last_renewal_ends_with_the_lease() {
        let renewed = after_renewal(&lease(1200, 0), NOW, time::Duration::seconds(1200), Duration::from_secs(1200));
        assert_eq!(renewed, Outcome::Renewed { lapses_at: at(1200), due_at: at(1200) });
    }

    #[test]
    fn a_failure_is_repeated_with_growing_delays_until_the_lease_lapses() {
        let due = |failures, lapses_at| match delayed(&DatabaseLeaseRow { failures, ..lease(86_400, lapses_at) }, NOW) {
            Outcome::Delayed { due_at } => due_at,
            other => panic!("{other:?}"),
        };
        assert!((at(0)..=at(1)).contains(&due(0, 3600)) && due(0, 3600) > at(0));
        assert!((at(50)..=at(60)).contains(&due(100, 3600)));
        assert_eq!(due(100, 30), at(30));
    }
}
