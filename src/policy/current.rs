//! The policies of a device as they are now, and the lowest version that it may get.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    resolve::{Published, Resolved, Subject, resolve},
    standing, versions,
};
use crate::{
    base::{Error, Result, error::Reason},
    store::{
        Db, Stamp,
        columns::DeviceStatus,
        tables::{DeviceRow, TenantRows},
    },
};

/// The policies of a device as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    pub subject: Subject,
    /// The versions for it that count.
    pub policies: Vec<Published>,
    /// Whether there is a canary for it whose end has to be recorded before its version is known.
    pub is_unsettled: bool,
    /// The lowest version that the device may get: it has seen no higher one, and gets no other content under this one.
    pub least: i64,
}

impl Current {
    /// The policy of the device; `None` if none is for it.
    pub fn resolve(&self) -> Option<Resolved<'_>> {
        resolve(&self.policies, &self.subject)
    }
}

/// The policies of a device at a time. Fails with NOT_FOUND if there is no such device, with PERMISSION_DENIED if it is not active.
pub async fn of_device(rows: &TenantRows<'_, impl Db>, device: Uuid, now: Stamp) -> Result<Current> {
    of(rows, &rows.devices().get(device).await?.ok_or_else(not_found)?, now).await
}

/// The same for a device that was read.
pub async fn of(rows: &TenantRows<'_, impl Db>, device: &DeviceRow, now: Stamp) -> Result<Current> {
    require_active(device)?;
    let subject = subject(rows, device).await?;
    let active = rows.policies().active_for(subject.device, &subject.groups).await?;
    let is_unsettled = active.iter().any(|row| standing::is_over(row, now));
    let policies = versions::counting(rows, active, now).await?;
    let newest = versions::newest_for(rows, &subject).await?;
    Ok(Current { subject, policies, is_unsettled, least: device.policy_floor.max(newest) })
}

/// Fails with PERMISSION_DENIED if a device is not active.
pub fn require_active(device: &DeviceRow) -> Result<()> {
    match device.status {
        DeviceStatus::Active => Ok(()),
        _ => Err(Error::denied(Reason::DeviceSuspended, "the device is not active")),
    }
}

/// A device, as far as its policy depends on it: its groups are those of its user and of its token, without deleted ones.
pub async fn subject(rows: &TenantRows<'_, impl Db>, device: &DeviceRow) -> Result<Subject> {
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
