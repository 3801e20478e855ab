//! Migrates the databases of many tenants. A run that was interrupted is continued by the next one: it takes the tenants that are left.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    migrator::{Migrated, Migrator, Target},
    status,
};
use crate::{
    base::{Cx, Error, Result, TenantId, TenantRef, error::Reason},
    providers::provisioner::TenantDatabase,
    store::{Store, Tx},
    tenants::{
        self, Status,
        derived_names::{self, NameKind},
    },
};

/// After this time, what was applied is recorded, and the next migrations are begun after that.
const BATCH: Duration = Duration::from_secs(30);

/// Which databases are migrated, and how.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Only the database of this tenant.
    pub only: Option<TenantRef>,
    /// How many databases are migrated at the same time.
    pub parallel: usize,
    /// Whether further databases are begun after one has failed.
    pub keep_going: bool,
}

/// What has happened in a run.
#[derive(Debug)]
pub enum Progress<'a> {
    /// This number of databases is to be migrated.
    Began(usize),
    /// A database has the last migration.
    Migrated {
        tenant: &'a str,
        before: Option<&'a str>,
        revision: Option<&'a str>,
        applied: usize,
        took: Duration,
    },
    /// The database of a tenant that is not in use was left as it is.
    Skipped {
        tenant: &'a str,
        status: Status,
    },
    Failed {
        tenant: &'a str,
        error: Error,
    },
}

/// The numbers of databases at the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOutcome {
    pub migrated: usize,
    pub skipped: usize,
    pub failed: usize,
    /// Those that were not begun.
    pub left: usize,
}

/// One database of a run.
struct Done {
    tenant: String,
    took: Duration,
    outcome: Result<Ended>,
}

enum Ended {
    Migrated { before: Option<String>, migrated: Migrated },
    Skipped(Status),
}

/// Migrates databases until all are done, one has failed, or `stop` is cancelled; what has begun is completed. For platform callers.
pub async fn run(
    cx: &Cx,
    store: &Store,
    migrator: &Migrator,
    options: &RunOptions,
    stop: &CancellationToken,
    mut report: impl FnMut(Progress<'_>),
) -> Result<RunOutcome> {
    let tenants = match (&options.only, migrator.head()) {
        (Some(only), _) => vec![tenants::resolve_any(cx, store, only).await?.0.id],
        (None, Some(head)) => status::behind(cx, store, head).await?,
        (None, None) => Vec::new(),
    };
    let mut outcome = RunOutcome { left: tenants.len(), ..RunOutcome::default() };
    report(Progress::Began(tenants.len()));
    let mut running = stream::iter(tenants)
        .take_while(|_| std::future::ready(!stop.is_cancelled()))
        .map(|tenant| one(cx, store, migrator, tenant))
        .buffer_unordered(options.parallel.max(1));
    while let Some(Done { tenant, took, outcome: ended }) = running.next().await {
        outcome.left -= 1;
        let tenant = tenant.as_str();
        match ended {
            Ok(Ended::Migrated { before, migrated }) => {
                outcome.migrated += 1;
                let (before, revision) = (before.as_deref(), migrated.revision.as_deref());
                report(Progress::Migrated { tenant, before, revision, applied: migrated.applied.len(), took });
            }
            Ok(Ended::Skipped(status)) => {
                outcome.skipped += 1;
                report(Progress::Skipped { tenant, status });
            }
            Err(error) => {
                outcome.failed += 1;
                if !options.keep_going {
                    stop.cancel();
                }
                report(Progress::Failed { tenant, error });
            }
        }
    }
    Ok(outcome)
}

async fn one(cx: &Cx, store: &Store, migrator: &Migrator, id: TenantId) -> Done {
    let begun = Instant::now();
    let mut tenant = id.dashed();
    let outcome = migrate(cx, store, migrator, id, &mut tenant).await;
    Done { tenant, took: begun.elapsed(), outcome }
}

/// Migrates the database of one tenant, whose handle it sets.
async fn migrate(cx: &Cx, store: &Store, migrator: &Migrator, id: TenantId, handle: &mut String) -> Result<Ended> {
    let (tenant, scope) = tenants::resolve_any(cx, store, &TenantRef::Id(id)).await?;
    *handle = tenant.name.to_string();
    if !tenant.status.admits() {
        return Ok(Ended::Skipped(tenant.status));
    }
    let row = store.tenant(scope).database().get().await?;
    let database = derived_names::get(store, scope, NameKind::DATABASE).await?;
    let owner = derived_names::get(store, scope, NameKind::DATABASE_OWNER).await?;
    let (Some(row), Some(database), Some(owner)) = (row, database, owner) else {
        let message = "the tenant has no database; provision it first";
        return Err(Error::precondition(Reason::PlacementMissing, message));
    };
    let target = Target {
        database: TenantDatabase { tenant: id, name: &database, owner: &owner },
        openbao_role: row.openbao_role.as_deref(),
    };
    let before = row.revision;
    let mut whole = Migrated::default();
    let mut recorded = before.clone();
    loop {
        let Migrated { revision, applied, more } = migrator.migrate(target, BATCH).await?;
        if revision != recorded {
            store.write(cx, (id, revision.clone(), applied.clone()), record_in).await?;
            recorded.clone_from(&revision);
        }
        whole.revision = revision;
        whole.applied.extend(applied);
        if !more {
            return Ok(Ended::Migrated { before, migrated: whole });
        }
    }
}

async fn record_in(tx: &Tx, (id, revision, applied): &(TenantId, Option<String>, Vec<String>)) -> Result<()> {
    let name = record(tx, *id, revision.as_deref()).await?;
    tx.audit_only(Some(*id), name, json!({"revision": revision, "applied": applied}));
    Ok(())
}

/// Records the last migration of the database of a tenant. Returns the handle of the tenant.
pub(in crate::controlplane) async fn record(tx: &Tx, id: TenantId, revision: Option<&str>) -> Result<String> {
    let (tenant, scope) = tenants::resolve_any_locked(tx, &TenantRef::Id(id)).await?;
    tx.tenant(scope).database().migrated(revision, tx.now().into()).await?;
    Ok(tenant.name.to_string())
}
