//! The release of a lease.

use serde_json::json;
use uuid::Uuid;

use super::{check_caller, revoke};
use crate::{
    base::{Cx, Error, Result, TenantRef, error::Reason, ids::read_dashed},
    store::{Stamp, Tx, tables::DatabaseLeaseRow},
    tenants::{database::Databases, tenant},
};

/// Releases a lease: its login is dropped. A lease that was released before, or is over, stays so. If the login cannot be dropped now,
/// that is an error, and the server repeats it.
pub async fn release(cx: &Cx, databases: &Databases, tenant: &TenantRef, lease: &str) -> Result<()> {
    check_caller(cx)?;
    let Some(lease) = read_dashed(lease) else {
        let message = "lease_id must be the id of a lease, a dashed UUID";
        return Err(Error::invalid(Reason::InvalidArgument, "lease_id", message));
    };
    end(cx, databases, tenant, lease).await
}

/// Ends a lease and revokes it.
pub(super) async fn end(cx: &Cx, databases: &Databases, tenant: &TenantRef, lease: Uuid) -> Result<()> {
    let ended = databases.store.write(cx, (tenant.clone(), lease), end_in).await?;
    let Some(lease) = ended else { return Ok(()) };
    revoke::revoke(databases, &lease).await.map_err(|error| {
        let message = format!("{}; the server repeats it until the login has ended", error.message);
        Error { message: message.into(), ..error }
    })
}

async fn end_in(tx: &Tx, (tenant, lease): &(TenantRef, Uuid)) -> Result<Option<DatabaseLeaseRow>> {
    let (tenant, scope) = tenant::resolve_any_locked(tx, tenant).await?;
    let rows = tx.tenant(scope).database_leases();
    let released = rows.end(*lease, Stamp::from(tx.time().await?)).await?;
    let details = json!({"tenant": tenant.name.as_str(), "released": released});
    tx.audit_only(Some(tenant.id), lease.as_hyphenated().to_string(), details);
    rows.get(*lease).await
}
