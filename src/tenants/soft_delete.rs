//! Deletion with a grace period: only the platform can still see the tenant, and its name and id remain reserved until the
//! period ends (zero-trust contract, decisions).

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde_json::json;
use time::Duration;

use super::{
    Status, Tenant,
    write::{self, Standing},
};
use crate::{
    base::{Cx, Result, TenantId, TenantRef, TenantScope, error::Reason},
    store::{
        Change, ChangeKind, Fetch, Resource, Stamp, Store, Tx,
        columns::EndReason,
        tables::{SessionsAt, tenants},
    },
};

pub const GRACE: Duration = Duration::days(30);

/// Maximum number of tenants that one run purges.
pub(in crate::tenants) const SWEEP: u64 = 100;

/// Deletes a tenant with a grace period, unless something still depends on it. A deleted tenant stays as it is.
pub async fn deprovision(tx: &Tx, tenant: &Tenant, scope: TenantScope, grace: Duration) -> Result<Tenant> {
    if tenant.status == Status::Deprovisioning {
        return Ok(tenant.clone());
    }
    write::refuse_blockers(tx, scope).await?;
    tx.end_access_sessions(scope, SessionsAt::Tenant, EndReason::TenantDeleted).await?;
    // By the database's clock, which also ends it.
    let purge_at = Some(Stamp::from(tx.time().await? + grace));
    let standing = Standing { status: Status::Deprovisioning, suspended_by: None, purge_at };
    write::stand(tx, scope, &standing).await
}

/// Undoes a deletion within its grace period. Any other tenant stays as it is.
pub async fn restore(tx: &Tx, tenant: &Tenant, scope: TenantScope) -> Result<Tenant> {
    if tenant.status != Status::Deprovisioning {
        return Ok(tenant.clone());
    }
    let standing = Standing { status: Status::Active, suspended_by: None, purge_at: None };
    write::stand(tx, scope, &standing).await
}

/// Permanently deletes the tenants whose grace period has ended. Returns their number. Several replicas may do this concurrently.
pub async fn purge_due(store: &Store) -> Result<usize> {
    // Not by this server's clock, which may be fast: a purge cannot be undone.
    let now = Stamp::from(store.time().await?);
    let due = tenants::Entity::find()
        .filter(tenants::Column::Status.eq(Status::Deprovisioning))
        .filter(tenants::Column::PurgeAt.lte(now))
        .limit(SWEEP)
        .fetch_all(store.read())
        .await?;
    let mut gone = 0;
    for row in due {
        gone += usize::from(purge(store, row.id, now).await?);
    }
    Ok(gone)
}

/// Purges one tenant if its grace period is still over: it may have been restored or purged in the meantime.
async fn purge(store: &Store, id: TenantId, now: Stamp) -> Result<bool> {
    let cx = Cx::system("tenant.purge", store.clock().clone());
    store.write(&cx, (id, now), purge_in).await
}

async fn purge_in(tx: &Tx, (id, now): &(TenantId, Stamp)) -> Result<bool> {
    let due = |tenant: &Tenant| tenant.purge_at.is_some_and(|at| Stamp::from(at) <= *now);
    match super::resolve_any_locked(tx, &TenantRef::Id(*id)).await {
        Ok((tenant, scope)) if due(&tenant) => {
            write::delete(tx, &tenant, scope).await?;
            let change = Change::new(Resource::Tenant, ChangeKind::Deleted, id.dashed());
            tx.changed(change.within(*id).at(tenant.version), id.dashed(), json!({"purged": true}));
            Ok(true)
        }
        Err(error) if error.reason != Reason::TenantNotFound => Err(error),
        _ => {
            tx.audit_only(Some(*id), id.dashed(), json!({"purged": false}));
            Ok(false)
        }
    }
}
