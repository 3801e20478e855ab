//! Deletion with a time of grace: the tenant is gone for everybody but the platform, and its name and id stay taken until
//! the time is over (zero-trust contract, decisions).

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde_json::json;
use time::Duration;

use super::{
    Status, Tenant,
    write::{self, Standing},
};
use crate::{
    base::{Cx, Result, TenantId, TenantRef, TenantScope, error::Reason},
    store::{Change, ChangeKind, Resource, Stamp, Store, Tx, entities::tenants},
};

/// The time of grace.
pub const GRACE: Duration = Duration::days(30);

/// Most tenants that one sweep ends.
pub(in crate::tenants) const SWEEP: u64 = 100;

/// Deletes a tenant with a time of grace, unless something still hangs on it. One that is deleted already stays so.
pub async fn deprovision(tx: &Tx, tenant: &Tenant, scope: TenantScope, grace: Duration) -> Result<Tenant> {
    if tenant.status == Status::Deprovisioning {
        return Ok(tenant.clone());
    }
    write::refuse_blockers(tx, scope).await?;
    // By the clock by which it ends, too.
    let purge_at = Some(Stamp::from(tx.time().await? + grace));
    let standing = Standing { status: Status::Deprovisioning, suspended_by: None, purge_at };
    write::stand(tx, scope, &standing).await
}

/// Takes a deletion back within its time of grace. Any other tenant stays as it is.
pub async fn restore(tx: &Tx, tenant: &Tenant, scope: TenantScope) -> Result<Tenant> {
    if tenant.status != Status::Deprovisioning {
        return Ok(tenant.clone());
    }
    let standing = Standing { status: Status::Active, suspended_by: None, purge_at: None };
    write::stand(tx, scope, &standing).await
}

/// Deletes the tenants whose time of grace is over, and returns how many went. Any number of replicas may do so at once.
pub async fn purge_due(store: &Store) -> Result<usize> {
    // Not by the clock of this server, which may be ahead: what is gone is gone.
    let now = Stamp::from(store.time().await?);
    let due = tenants::Entity::find()
        .filter(tenants::Column::Status.eq(Status::Deprovisioning.as_str()))
        .filter(tenants::Column::PurgeAt.lte(now))
        .limit(SWEEP)
        .all(store.read())
        .await?;
    let mut gone = 0;
    for row in due {
        gone += usize::from(purge(store, TenantId::from_uuid(row.id), now).await?);
    }
    Ok(gone)
}

/// Deletes one tenant if its time is still over: somebody may have restored or purged it meanwhile.
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
