//! Revocations of security policy certificates, which several areas make, and changes of the keys that sign them.

use time::Duration;
use uuid::Uuid;

use super::{
    Change, ChangeKind, Resource, Stamp, Tx,
    columns::RevocationReason,
    tables::{SpcFilter, SpcRevocation, SpcsRevoked},
};
use crate::base::{Result, TenantId, TenantScope};

/// How long after its end a certificate may still be accepted: the tolerance of gateways for other clocks.
pub const SPC_SKEW: Duration = Duration::seconds(60);

impl Tx {
    /// Revokes certificates, and raises the sequence if there were any.
    pub async fn revoke_spcs(
        &self,
        scope: TenantScope,
        which: SpcFilter,
        reason: RevocationReason,
    ) -> Result<SpcsRevoked> {
        let now = self.now();
        let revocation = SpcRevocation { reason, at: now.into(), ended: Stamp::from(now - SPC_SKEW) };
        let revoked = self.tenant(scope).revoke_spcs(&which, revocation).await?;
        if revoked.is_new {
            self.also_changed(Change::of_spc_bundle(scope.tenant(), revoked.sequence));
        }
        Ok(revoked)
    }

    /// Revokes the certificates of devices.
    pub async fn revoke_spcs_of(
        &self,
        scope: TenantScope,
        devices: impl IntoIterator<Item = Uuid>,
        reason: RevocationReason,
    ) -> Result<()> {
        let devices: Vec<_> = devices.into_iter().collect();
        if !devices.is_empty() {
            self.revoke_spcs(scope, SpcFilter::Devices(devices), reason).await?;
        }
        Ok(())
    }

    /// Announces a change of the keys that sign certificates, and returns the new sequence.
    pub async fn spc_keys_changed(&self, scope: TenantScope) -> Result<i64> {
        let sequence = self.tenant(scope).spc_states().raise(0).await?.sequence;
        self.also_changed(Change::of_spc_bundle(scope.tenant(), sequence));
        Ok(sequence)
    }
}

impl Change {
    /// A change of what the bundle of certificates has.
    pub fn of_spc_bundle(tenant: TenantId, sequence: i64) -> Self {
        Self::new(Resource::SpcBundle, ChangeKind::Updated, tenant.zero_trust()).within(tenant).at(sequence)
    }
}
