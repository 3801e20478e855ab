//! The policies of a device as they are now, and the lowest version that it may get.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    resolve::{Published, Resolved, Subject, resolve},
    versions,
};
use crate::{
    base::{Error, Result, error::Reason},
    store::{
        Db,
        columns::DeviceStatus,
        tables::{DeviceRow, TenantRows},
    },
};

/// The policies of a device as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    pub subject: Subject,
    /// The active versions for it.
    pub policies: Vec<Published>,
    /// The lowest version that the device may get: it has seen no higher one, and gets no other content under this one.
    pub least: i64,
}

impl Current {
    /// The policy of the device; `None` if none is for it.
    pub fn resolve(&self) -> Option<Resolved<'_>> {
        resolve(&self.policies, &self.subject)
    }
}

/// The policies of a device. Fails with NOT_FOUND if there is no such device, with PERMISSION_DENIED if it is not active.
pub async fn of_device(rows: &TenantRows<'_, impl Db>, device: Uuid) -> Result<Current> {
    of(rows, &rows.devices().get(device).await?.ok_or_else(not_found)?).await
}

/// The same for a device that was read.
pub async fn of(rows: &TenantRows<'_, impl Db>, device: &DeviceRow) -> Result<Current> {
    require_active(device)?;
    let subject = subject(rows, device).await?;
    let policies = versions::of_device(rows, &subject).await?;
    let newest = versions::newest_for(rows, &subject).await?;
    Ok(Current { subject, policies, least: device.policy_floor.max(newest) })
}

/// Fails with PERMISSION_DENIED if a device is not active.
pub fn require_active(device: &DeviceRow) -> Result<()> {
    match device.status {
        DeviceStatus::Active => Ok(()),
        _ => Err(Error::denied(Reason::DeviceSuspended, "the device is not active")),
    }
}

/// A device, as far as its policy depends on it: its groups are those of its user and of its token, without deleted ones.
async fn subject(rows: &TenantRows<'_, impl Db>, device: &DeviceRow) -> Result<Subject> {
    let mut groups: BTreeSet<Uuid> = rows.groups().existing(&device.group_ids).await?.into_iter().collect();
    if let Some(account) = device.account_id {
        groups.extend(rows.group_members().groups_of(&[account]).await?.remove(&account).unwrap_or_default());
    }
    Ok(Subject { device: device.id, groups: groups.into_iter().collect() })
}

/// There is no such device.
pub fn not_found() -> Error {
    Error::not_found(Reason::DeviceNotFound, "device not found")
}
