//! The enrollment of a device that is enrolled already, with a token for it.

use uuid::Uuid;

use super::{certificate::OVERLAP, invalid_token, rules::Subject};
use crate::{
    base::{Error, Result, TenantScope},
    store::{
        Stamp, Tx,
        columns::{DeviceStatus, RevocationReason},
        tables::DeviceRow,
    },
};

/// Enrolls a device under its id again. It keeps its name, user, groups and status. Its other credentials
/// end soon and cannot be renewed, and its policy certificates, which are for the keys of those, end at once.
pub(super) async fn device(
    tx: &Tx,
    scope: TenantScope,
    id: Uuid,
    said: &Subject,
    address: Option<String>,
) -> Result<DeviceRow> {
    let Subject::Device { platform, os_version, client_version, hardware_id_hash, .. } = said else {
        return Err(Error::internal("a gateway is not a device"));
    };
    let devices = tx.tenant(scope).devices();
    let before = devices.get_locked(id).await?.filter(|device| device.status != DeviceStatus::Revoked);
    let before = before.ok_or_else(invalid_token)?;
    let now = Stamp::from(tx.now());
    let row = DeviceRow {
        platform: *platform,
        os_version: os_version.clone(),
        client_version: client_version.clone(),
        hardware_id_hash: hardware_id_hash.clone(),
        last_seen_at: Some(now),
        last_ip: address,
        version: before.version + 1,
        updated_at: now,
        ..before
    };
    devices.update(&row).await?;
    tx.tenant(scope).credentials().shorten(id, Stamp::from(now.time() + OVERLAP)).await?;
    tx.revoke_spcs_of(scope, [id], RevocationReason::Superseded).await?;
    Ok(row)
}
