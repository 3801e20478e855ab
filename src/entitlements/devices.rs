//! Limits of devices and gateways.

use uuid::Uuid;

use crate::{
    base::{Error, Result, TenantScope, error::Reason},
    store::Tx,
};

/// Fails with FAILED_PRECONDITION if the tenant, or the user, may have no further device. The tenant must be locked.
pub async fn require_device(tx: &Tx, scope: TenantScope, user: Option<Uuid>) -> Result<()> {
    let devices = tx.tenant(scope).devices();
    if let Some(limit) = limit(tx, scope, "devices").await?
        && devices.seats(None).await? >= limit
    {
        return Err(reached(format!("the limit of {limit} devices is reached")));
    }
    if let Some(user) = user
        && let Some(limit) = limit(tx, scope, "devices_per_user").await?
        && devices.seats(Some(user)).await? >= limit
    {
        return Err(reached(format!("the limit of {limit} devices per user is reached")));
    }
    Ok(())
}

/// Fails with FAILED_PRECONDITION if the tenant may have no further gateway. The tenant must be locked.
pub async fn require_gateway(tx: &Tx, scope: TenantScope) -> Result<()> {
    if let Some(limit) = limit(tx, scope, "gateways").await?
        && tx.tenant(scope).gateways().seats().await? >= limit
    {
        return Err(reached(format!("the limit of {limit} gateways is reached")));
    }
    Ok(())
}

/// The limit of a tenant with this name; none if it has no limit. The plans themselves limit only users.
async fn limit(tx: &Tx, scope: TenantScope, name: &str) -> Result<Option<u64>> {
    let settings = tx.tenant(scope).zerotrust().get().await?;
    Ok(settings.and_then(|settings| settings.overrides.get(name).and_then(serde_json::Value::as_u64)))
}

fn reached(message: String) -> Error {
    Error::precondition(Reason::EntitlementExceeded, message)
}
