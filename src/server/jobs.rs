//! The list of all background jobs of a server. A new job is registered only here.

use std::{sync::Arc, time::Duration};

use sea_orm::DbBackend;

use super::operation_kinds;
use crate::{
    access::jobs::{EndSessions, PruneSessions},
    audit::{
        ApiKeyUses, Denials,
        jobs::{AuditApiKeyUse, AuditDenials},
    },
    auth::{
        authn::revocation::Revocations,
        jobs::{PruneRevocations, ReadRevocations},
    },
    controlplane::migrations::TenantMigrations,
    edge::{Reports, jobs::RecordReports},
    fleet::{
        Sightings,
        jobs::{PruneDevices, RecordSightings},
    },
    identity::jobs::EndGrants,
    jobs::{
        Job, Jobs, StatusBoard,
        store::{
            idempotency_keys::PruneIdempotencyKeys, outbox_retention::PruneOutbox, relay::Relay,
            text_normalization::NormalizeText,
        },
    },
    manager::{billing::BillingSettings, jobs::CloseMonths},
    messaging::jobs::Bootstrap,
    openbao::jobs::{KeepLeases, TendIdentity},
    operations::{PruneOperations, RunOperations},
    policy::jobs::{EndCanaries, SpreadPolicies},
    spc::jobs::PruneSpcs,
    store::Store,
    tenants::{
        database::{Databases, leases::KeepDatabaseLeases},
        jobs::DeleteExpiredTenants,
    },
    trust::{Trust, jobs::AdvanceRotations},
};

/// The dependencies of the jobs.
pub(super) struct Work<'a> {
    pub store: &'a Store,
    pub trust: &'a Trust,
    pub revocations: &'a Revocations,
    pub denials: &'a Denials,
    pub api_key_uses: &'a ApiKeyUses,
    pub sightings: &'a Sightings,
    pub reports: &'a Reports,
    pub databases: &'a Databases,
    /// The migrations for databases of tenants.
    pub migrations: &'a Arc<TenantMigrations>,
    /// The minimum time for which outbox events are kept.
    pub outbox_retention: Duration,
    /// How long operations are kept after their end.
    pub operation_retention: Duration,
    /// Whether the messaging surface starts with a tenant.
    pub messaging_bootstrap: bool,
    /// How many devices and gateways must have reported on a canary before it is withdrawn.
    pub canary_min_reports: i64,
    /// The settings of usage and invoices.
    pub billing: &'a BillingSettings,
}

pub(super) fn start(work: &Work<'_>, board: StatusBoard) -> Jobs {
    let store = work.store;
    let mut jobs = Jobs::new(store, board);
    jobs.start(ReadRevocations::new(work.revocations, store));
    jobs.start(EndGrants::new(store));
    jobs.start(AuditDenials::new(work.denials, store));
    jobs.start(AuditApiKeyUse::new(work.api_key_uses, store));
    jobs.start(RecordSightings::new(work.sightings, store));
    jobs.start(RecordReports::new(work.reports, store, work.canary_min_reports));
    if work.messaging_bootstrap {
        jobs.start(Bootstrap::new(store));
    }
    if let Some(bao) = &work.databases.openbao {
        jobs.start(TendIdentity::new(bao));
    }
    if let Some(keeper) = &work.databases.keeper {
        jobs.start(KeepLeases::new(keeper));
    }
    jobs.start(RunOperations::new(store, operation_kinds::all(work.databases, work.migrations)));
    // One server runs each of these for all servers. `ON_REQUEST` lists them.
    if has_relay(store.backend()) {
        jobs.start(Relay::new(store));
    }
    jobs.start(KeepDatabaseLeases::new(work.databases));
    jobs.start(PruneIdempotencyKeys::new(store));
    jobs.start(PruneRevocations::new(store));
    jobs.start(NormalizeText::new(store));
    jobs.start(PruneOutbox::new(store, work.outbox_retention));
    jobs.start(DeleteExpiredTenants::new(store));
    jobs.start(PruneOperations::new(store, work.operation_retention));
    jobs.start(PruneDevices::new(store));
    jobs.start(SpreadPolicies::new(store));
    jobs.start(EndCanaries::new(store, work.canary_min_reports));
    jobs.start(AdvanceRotations::new(work.trust));
    jobs.start(PruneSpcs::new(store));
    jobs.start(CloseMonths::new(store, work.billing));
    jobs.start(EndSessions::new(store));
    jobs.start(PruneSessions::new(store));
    jobs
}

/// The names of the jobs that one server runs for all servers, when they are due or requested.
pub const ON_REQUEST: [&str; 15] = [
    CloseMonths::NAME,
    KeepDatabaseLeases::NAME,
    PruneDevices::NAME,
    PruneOperations::NAME,
    PruneRevocations::NAME,
    SpreadPolicies::NAME,
    PruneIdempotencyKeys::NAME,
    AdvanceRotations::NAME,
    PruneOutbox::NAME,
    EndCanaries::NAME,
    EndSessions::NAME,
    PruneSessions::NAME,
    PruneSpcs::NAME,
    DeleteExpiredTenants::NAME,
    NormalizeText::NAME,
];

/// The names of the jobs that one server runs for all servers, with this database.
pub fn shared(backend: DbBackend) -> Vec<&'static str> {
    let mut names = ON_REQUEST.to_vec();
    if has_relay(backend) {
        names.push(Relay::NAME);
    }
    names.sort_unstable();
    names
}

/// With SQLite, the writer itself numbers events and seals the audit log.
fn has_relay(backend: DbBackend) -> bool {
    backend == DbBackend::Postgres
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::TrustDomain,
        jobs::Placement,
        manager::money::Rate,
        store::{Sealer, StoreConfig},
        trust::TrustSettings,
    };

    #[tokio::test]
    async fn the_list_of_shared_jobs_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("it.db").display());
        let store = Store::open(StoreConfig::new(&url)).await.unwrap();
        let (board, clock) = (StatusBoard::default(), store.clock().clone());
        let settings = TrustSettings { domain: TrustDomain::default(), refresh: time::Duration::minutes(5) };
        let sealer = Sealer::new(store.clone(), None);
        let (trust, databases) = (Trust::new(store.clone(), sealer.clone(), settings), Databases::new(&store, sealer));
        let work = Work {
            store: &store,
            trust: &trust,
            revocations: &Revocations::default(),
            denials: &Denials::new(clock.clone()),
            api_key_uses: &ApiKeyUses::new(clock.clone()),
            sightings: &Sightings::new(clock.clone()),
            reports: &Reports::new(clock),
            databases: &databases,
            migrations: &Arc::new(TenantMigrations::embedded().unwrap()),
            outbox_retention: Duration::from_secs(60),
            operation_retention: Duration::from_secs(60),
            messaging_bootstrap: true,
            canary_min_reports: 1,
            billing: &BillingSettings {
                cpu_milli: Rate::default(),
                mem_mib: Rate::default(),
                close_after: time::Duration::hours(72),
            },
        };
        let mut jobs = start(&work, board.clone());
        jobs.start(Relay::new(&store));
        jobs.end(Duration::from_secs(5)).await;
        let all = board.all();
        let of =
            |placement| all.iter().filter(|job| job.placement == placement).map(|job| job.name).collect::<Vec<_>>();
        assert_eq!(of(Placement::OneServer), ON_REQUEST);
        assert_eq!(of(Placement::Leader), [Relay::NAME]);
        let not_here: Vec<_> =
            shared(DbBackend::Postgres).into_iter().filter(|name| board.of(name).is_none()).collect();
        assert_eq!(not_here, [""; 0]);
        assert!(!shared(DbBackend::Sqlite).contains(&Relay::NAME));
    }
}
