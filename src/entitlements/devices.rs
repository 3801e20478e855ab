//! Limits of devices and gateways.

use uuid::Uuid;

use super::limit::{limit, refuse_more};
use crate::{
    base::{Result, TenantScope},
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
    if let Some(limit) = limit(rows, "devices").await? {
        refuse_more("devices", "devices", limit, devices.seats(None).await?, more)?;
    }
    if let Some(user) = user
        && let Some(limit) = limit(rows, "devices_per_user").await?
    {
        refuse_more("devices_per_user", "devices per user", limit, devices.seats(Some(user)).await?, more)?;
    }
    Ok(())
}

/// Fails with FAILED_PRECONDITION if the tenant may have no further gateway. The tenant must be locked.
pub async fn require_gateway(tx: &Tx, scope: TenantScope) -> Result<()> {
    let rows = tx.tenant(scope);
    match limit(&rows, "gateways").await? {
        Some(limit) => refuse_more("gateways", "gateways", limit, rows.gateways().seats().await?, 1),
        None => Ok(()),
    }
}
