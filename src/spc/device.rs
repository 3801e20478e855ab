//! A device, as far as its certificates depend on it: whether it is active, its policies and its pools.

use uuid::Uuid;

use crate::{
    base::{IdKind, Result, TenantScope},
    identity::accounts,
    policy::{
        current,
        document::Document,
        resolve::{Published, Resolved, Subject, resolve},
        versions,
    },
    store::{
        Db, Stamp,
        columns::DeviceStatus,
        tables::{DeviceRow, GatewayPoolRow, TenantRows, may_have_devices},
    },
};

/// Whether a device may connect: it is active, and its user may have devices.
pub(super) async fn is_active(conn: &impl Db, scope: TenantScope, device: &DeviceRow) -> Result<bool> {
    if device.status != DeviceStatus::Active {
        return Ok(false);
    }
    let Some(account) = device.account_id else { return Ok(true) };
    let user = accounts::find(conn, Some(scope), &IdKind::User.show(account)).await?;
    Ok(user.is_some_and(|user| may_have_devices(user.status)))
}

/// The policies for a device.
pub(super) struct Policies {
    pub subject: Subject,
    current: Vec<Published>,
    /// Without canaries.
    stable: Vec<Published>,
}

impl Policies {
    pub(super) async fn of(rows: &TenantRows<'_, impl Db>, device: &DeviceRow, now: Stamp) -> Result<Self> {
        let subject = current::subject(rows, device).await?;
        let current = versions::of_device(rows, &subject, now).await?;
        let stable = current.iter().filter(|policy| policy.canary.is_none()).cloned().collect();
        Ok(Self { subject, current, stable })
    }

    /// The policy that the device has.
    pub(super) fn current(&self) -> Option<Resolved<'_>> {
        resolve(&self.current, &self.subject)
    }

    /// The policy that it would have without canaries.
    pub(super) fn stable(&self) -> Option<Resolved<'_>> {
        resolve(&self.stable, &self.subject)
    }
}

/// Whether a device in these groups may use a pool under a policy.
pub(super) fn may_use(pool: &GatewayPoolRow, document: &Document, groups: &[Uuid]) -> bool {
    let is_listed = |listed: &Vec<String>| listed.iter().any(|id| IdKind::GatewayPool.read(id) == Some(pool.id));
    let of_groups = pool.allowed_group_ids.is_empty() || pool.allowed_group_ids.iter().any(|id| groups.contains(id));
    of_groups && document.gateway_pools.as_ref().is_none_or(is_listed)
}
