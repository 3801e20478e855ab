//! Tokens with which a device enrolls once more under its id.

use time::Duration;

use super::{EnrollmentToken, rules, secret::Stored};
use crate::{
    base::{EnrolledKind, Result, TenantScope},
    store::{
        ChangeKind, Stamp, Tx,
        tables::{DeviceRow, EnrollmentTokenRow},
    },
};

/// Inserts a token for a device, which is valid once within a day, and revokes the earlier tokens for it. The caller has locked the device.
pub async fn insert_for_device(
    tx: &Tx,
    scope: TenantScope,
    device: &DeviceRow,
    stored: &Stored,
) -> Result<EnrollmentToken> {
    let (rows, now) = (tx.tenant(scope).enrollment_tokens(), tx.now());
    for row in rows.revoke_of_devices(&[device.id], now.into()).await? {
        tx.also_changed(EnrollmentToken { tenant: scope.tenant(), row }.change(ChangeKind::Revoked));
    }
    let expires_at = Stamp::from(now + Duration::seconds(rules::USUAL_LIFE));
    let row = EnrollmentTokenRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        kind: EnrolledKind::Device.into(),
        name: String::new(),
        prefix: stored.prefix.clone(),
        secret_hash: stored.digest.clone(),
        max_uses: Some(1),
        use_count: 0,
        account_id: device.account_id,
        group_ids: device.group_ids.clone(),
        pool_id: None,
        device_id: Some(device.id),
        pre_approved: true,
        ephemeral: device.ephemeral,
        created_by: tx.cx().caller.subject.clone(),
        creator_id: tx.cx().caller.account,
        created_at: now.into(),
        expires_at: Some(expires_at),
        last_used_at: None,
        revoked_at: None,
    };
    rows.insert(vec![row.clone()]).await?;
    let token = EnrollmentToken { tenant: scope.tenant(), row };
    tx.also_changed(token.change(ChangeKind::Created));
    Ok(token)
}
