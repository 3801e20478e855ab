//! Limits of devices and gateways.

use uuid::Uuid;

use crate::{
    base::{Error, Result, TenantScope, error::Reason},
    store::{Db, Tx, tables::TenantRows},
};

/// Fails with FAILED_PRECONDITION if the tenant, or the user, may have no further device. The tenant must be locked.
pub async fn require_device(tx: &Tx, scope: TenantScope, user: Option<Uuid>) -> Result<()> {
    require(&tx.tenant(scope), user, 1).await
}

/// Fails with FAILED_PRECONDITION if the tenant, or the user, has more devices than it may. Suspended devices count.
pub async fn require_no_excess<C: Db>(rows: &TenantRows<'_, C>, user: Option<Uuid>) -> Result<()> {
    require(rows, user, 0).await
}

/// Fails if there is no room for `more` devices.
async fn require<C: Db>(rows: &TenantRows<'_, C>, user: Option<Uuid>, more: u64) -> Result<()> {
    let devices = rows.devices();
    if let Some(limit) = limit(rows, "devices").await?
        && devices.seats(None).await? + more > limit
    {
        return Err(reached(format!("the limit of {limit} devices is reached")));
    }
    if let Some(user) = user
        && let Some(limit) = limit(rows, "devices_per_user").await?
        && devices.seats(Some(user)).await? + more > limit
    {
        return Err(reached(format!("the limit of {limit} devices per user is reached")));
    }
    Ok(())
}

/// Fails with FAILED_PRECONDITION if the tenant may have no further gateway. The tenant must be locked.
pub async fn require_gateway(tx: &Tx, scope: TenantScope) -> Result<()> {
    let rows = tx.tenant(scope);
    if let Some(limit) = limit(&rows, "gateways").await?
        && rows.gateways().seats().await? >= limit
    {
        return Err(reached(format!("the limit of {limit} gateways is reached")));
    }
    Ok(())
}

/// The limit of a tenant with this name; none if it has no limit. The plans themselves limit only users.
async fn limit<C: Db>(rows: &TenantRows<'_, C>, name: &str) -> Result<Option<u64>> {
    let settings = rows.zerotrust().get().await?;
    Ok(settings.and_then(|settings| settings.overrides.get(name).and_then(serde_json::Value::as_u64)))
}

fn reached(message: String) -> Error {
    Error::precondition(Reason::EntitlementExceeded, message)
}
