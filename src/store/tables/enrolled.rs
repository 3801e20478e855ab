//! Devices and gateways as callers: whether a credential is valid, and whether its holder may call.

use sea_orm::{entity::prelude::*, sea_query::ExprTrait};
use time::Duration;

use super::{accounts, credentials, devices, gateways, tenants};
use crate::{
    base::{EnrolledKind, Result, TenantId},
    store::{
        Db, Fetch, Stamp, Store,
        columns::{AccountStatus, DeviceStatus, GatewayStatus},
    },
};

/// The holder of a valid credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub kind: EnrolledKind,
    pub id: Uuid,
    /// The thumbprint of the key of the credential.
    pub thumbprint: String,
    pub standing: Standing,
}

/// Whether a device or gateway may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// An administrator must approve it first.
    Pending,
    /// By itself, not with its user.
    Suspended,
}

impl Store {
    /// The holder of a credential of a tenant; none if the credential is unknown, ended longer ago than `grace` or was revoked, or if its
    /// user may not have devices. Takes no scope, because authentication needs it before there is one.
    pub async fn enrolled(&self, tenant: TenantId, credential: Uuid, grace: Duration) -> Result<Option<Holder>> {
        holder(self.read(), tenant, credential, (self.clock().now().into(), grace)).await
    }
}

/// The same on a connection.
pub(in crate::store) async fn holder(
    conn: &impl Db,
    tenant: TenantId,
    credential: Uuid,
    (now, grace): (Stamp, Duration),
) -> Result<Option<Holder>> {
    let gone = tenants::is_deleted((credentials::Entity, credentials::Column::TenantId));
    let query = credentials::Entity::find()
        .filter(credentials::Column::TenantId.eq(tenant))
        .filter(credentials::Column::Id.eq(credential))
        .filter(gone.not());
    let Some(credential) = query.fetch_one(conn).await? else { return Ok(None) };
    if !credentials::is_usable(conn, &credential, now, grace).await? {
        return Ok(None);
    }
    let (kind, id) = (credential.kind, credential.subject_id);
    let standing = match kind {
        EnrolledKind::Device => device(conn, tenant, id).await?,
        EnrolledKind::Gateway => gateway(conn, tenant, id).await?,
    };
    Ok(standing.map(|standing| Holder { kind, id, thumbprint: credential.thumbprint, standing }))
}

async fn device(conn: &impl Db, tenant: TenantId, id: Uuid) -> Result<Option<Standing>> {
    let query = devices::Entity::find().filter(devices::Column::TenantId.eq(tenant)).filter(devices::Column::Id.eq(id));
    let Some(device) = query.fetch_one(conn).await? else { return Ok(None) };
    if let Some(account) = device.account_id {
        let query = accounts::Entity::find()
            .filter(accounts::Column::TenantId.eq(tenant))
            .filter(accounts::Column::Id.eq(account));
        let account = query.fetch_one(conn).await?;
        if !account.is_some_and(|account| may_have_devices(account.status)) {
            return Ok(None);
        }
    }
    Ok(match device.status {
        DeviceStatus::Active => Some(Standing::Active),
        DeviceStatus::PendingApproval => Some(Standing::Pending),
        DeviceStatus::Suspended if device.suspended_with_user => None,
        DeviceStatus::Suspended => Some(Standing::Suspended),
        DeviceStatus::Revoked => None,
    })
}

async fn gateway(conn: &impl Db, tenant: TenantId, id: Uuid) -> Result<Option<Standing>> {
    let query =
        gateways::Entity::find().filter(gateways::Column::TenantId.eq(tenant)).filter(gateways::Column::Id.eq(id));
    Ok(match query.fetch_one(conn).await?.map(|gateway| gateway.status) {
        Some(GatewayStatus::Active) => Some(Standing::Active),
        Some(GatewayStatus::Disabled) => Some(Standing::Suspended),
        Some(GatewayStatus::Revoked) | None => None,
    })
}

/// Whether a user may have devices. One who was invited needs no password for that.
pub fn may_have_devices(status: AccountStatus) -> bool {
    matches!(status, AccountStatus::Active | AccountStatus::Invited)
}
