//! Changes of devices and gateways that several areas make: of all devices of an account or a token, and the end of one.

use uuid::Uuid;

use super::{
    Change, ChangeKind, Resource, Stamp, Tx,
    columns::{EndReason, GatewayStatus, RevocationReason},
    tables::{DeviceRow, GatewayRow, SessionsAt},
};
use crate::base::{IdKind, Result, TenantId, TenantScope};

impl Tx {
    /// Suspends the active devices of an account that is suspended, and revokes their policy certificates. Returns their number.
    pub async fn suspend_devices_of(&self, scope: TenantScope, account: Uuid) -> Result<u64> {
        let changed = self.tenant(scope).devices().suspend_with(account, self.now().into()).await?;
        let ids = changed.iter().map(|device| device.id);
        self.revoke_spcs_of(scope, ids, RevocationReason::PrivilegeWithdrawn).await?;
        Ok(self.devices_changed(scope, &changed, ChangeKind::Updated))
    }

    /// Reactivates the devices that were suspended with their account. Returns their number.
    pub async fn reactivate_devices_of(&self, scope: TenantScope, account: Uuid) -> Result<u64> {
        let changed = self.tenant(scope).devices().reactivate_with(account, self.now().into()).await?;
        Ok(self.devices_changed(scope, &changed, ChangeKind::Updated))
    }

    /// Revokes the devices of an account, with their credentials. Returns their number.
    pub async fn revoke_devices_of(&self, scope: TenantScope, account: Uuid) -> Result<u64> {
        let changed = self.tenant(scope).devices().revoke_with(account, self.now().into()).await?;
        self.end_access_sessions(scope, SessionsAt::Account(account), EndReason::UserDeleted).await?;
        self.devices_revoked(scope, &changed).await
    }

    /// Revokes devices that a token enrolled, with their credentials, at most `most`. Returns their number.
    pub async fn revoke_devices_enrolled(&self, scope: TenantScope, token: Uuid, most: u64) -> Result<u64> {
        let changed = self.tenant(scope).devices().revoke_enrolled(token, most, self.now().into()).await?;
        self.devices_revoked(scope, &changed).await
    }

    /// Revokes the credentials of devices whose rows are revoked, and the tokens that would enroll them again.
    async fn devices_revoked(&self, scope: TenantScope, devices: &[DeviceRow]) -> Result<u64> {
        let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
        self.end_enrollments(scope, &ids).await?;
        Ok(self.devices_changed(scope, devices, ChangeKind::Revoked))
    }

    /// Revokes the credentials and policy certificates of devices, and the tokens that would enroll them again, and ends their sessions. Returns the number of
    /// sessions.
    pub async fn end_enrollments(&self, scope: TenantScope, devices: &[Uuid]) -> Result<u64> {
        let (rows, now) = (self.tenant(scope), Stamp::from(self.now()));
        rows.credentials().revoke_of(devices, now).await?;
        self.revoke_spcs_of(scope, devices.iter().copied(), RevocationReason::CessationOfOperation).await?;
        for token in rows.enrollment_tokens().revoke_of_devices(devices, now).await? {
            let id = IdKind::EnrollmentToken.show(token.id);
            self.also_changed(Change::new(Resource::EnrollmentToken, ChangeKind::Revoked, id).within(scope.tenant()));
        }
        self.end_access_sessions(scope, SessionsAt::Devices(devices), EndReason::DeviceRevoked).await
    }

    fn devices_changed(&self, scope: TenantScope, devices: &[DeviceRow], kind: ChangeKind) -> u64 {
        devices.iter().for_each(|device| self.also_changed(Change::of_device(kind, scope.tenant(), device)));
        devices.len() as u64
    }

    /// Revokes a gateway with its credentials, ends its sessions, and returns it.
    pub async fn revoke_gateway(&self, scope: TenantScope, gateway: GatewayRow) -> Result<GatewayRow> {
        let (rows, now) = (self.tenant(scope), Stamp::from(self.now()));
        let version = gateway.version + 1;
        let row =
            GatewayRow { status: GatewayStatus::Revoked, drain_deadline: None, version, updated_at: now, ..gateway };
        rows.gateways().update(&row).await?;
        rows.credentials().revoke(row.id, now).await?;
        self.end_access_sessions(scope, SessionsAt::Gateway(row.id), EndReason::GatewayRevoked).await?;
        Ok(row)
    }
}

impl Change {
    /// A change of a device.
    pub fn of_device(kind: ChangeKind, tenant: TenantId, device: &DeviceRow) -> Self {
        Self::new(Resource::Device, kind, IdKind::Device.show(device.id)).within(tenant).at(device.version)
    }

    /// A change of a gateway.
    pub fn of_gateway(kind: ChangeKind, tenant: TenantId, gateway: &GatewayRow) -> Self {
        Self::new(Resource::Gateway, kind, IdKind::Gateway.show(gateway.id)).within(tenant).at(gateway.version)
    }
}
