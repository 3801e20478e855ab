//! The keys that sign the artifacts of a tenant.

use std::sync::Arc;

use uuid::Uuid;

use super::{Trust, key::ArtifactKey};
use crate::{
    base::{Cx, Error, Result, TenantId, TenantRef, TenantScope},
    store::{
        columns::{KeyState, KeyUse},
        tables::SignerRow,
    },
    tenants,
};

/// The uses of a tenant's keys.
const USES: [KeyUse; 3] = [KeyUse::PolicySigning, KeyUse::SpcSigning, KeyUse::AdmissionSigning];
/// Validity of a signer.
const LIFE: time::Duration = time::Duration::days(365);
/// The tolerance for consumers with slow clocks.
const BACKDATED: time::Duration = time::Duration::hours(1);

impl Trust {
    /// New first signers of a tenant, not stored yet.
    pub(super) async fn first_signers(&self, scope: TenantScope) -> Result<Vec<SignerRow>> {
        let mut rows = Vec::with_capacity(USES.len());
        for key_use in USES {
            rows.push(self.new_signer(scope, key_use, KeyState::Active).await?);
        }
        Ok(rows)
    }

    pub(super) async fn new_signer(&self, scope: TenantScope, key_use: KeyUse, state: KeyState) -> Result<SignerRow> {
        let (now, id, key) = (self.store.clock().now(), self.store.clock().new_id(), ArtifactKey::generate());
        let sealed_key = self.sealer.seal(Some(scope.tenant()), &purpose(id), key.secret().expose()).await?;
        Ok(SignerRow {
            tenant_id: scope.into(),
            id,
            key_use,
            key_id: key.id().to_owned(),
            public_key: key.public_key(),
            certificate: None,
            sealed_key,
            state,
            not_before: (now - BACKDATED).into(),
            not_after: (now + LIFE).into(),
            created_at: now.into(),
            activated_at: (state == KeyState::Active).then(|| now.into()),
            retired_at: None,
        })
    }

    /// The id of the active key of a tenant for a use. The first call makes the keys of the tenant.
    pub async fn signer_id(&self, cx: &Cx, tenant: &TenantRef, key_use: KeyUse) -> Result<String> {
        self.signer_of(tenants::reach(cx, &self.store, tenant).await?, key_use).await
    }

    /// The same for the tenant of a scope.
    pub async fn signer_of(&self, scope: TenantScope, key_use: KeyUse) -> Result<String> {
        self.latest_anchors(scope).await?;
        Ok(self.active_signer(scope, key_use).await?.key_id)
    }

    /// The active key of a tenant for a use.
    pub async fn signing_key(&self, scope: TenantScope, key_use: KeyUse) -> Result<Arc<ArtifactKey>> {
        let row = self.active_signer(scope, key_use).await?;
        self.open_signer(scope.tenant(), &row).await.map(Arc::new)
    }

    async fn active_signer(&self, scope: TenantScope, key_use: KeyUse) -> Result<SignerRow> {
        let rows = self.store.tenant(scope).signers().all().await?;
        let row = rows.into_iter().rev().find(|row| row.key_use == key_use && row.state == KeyState::Active);
        row.ok_or_else(|| Error::internal("a tenant has no active signer"))
    }

    async fn open_signer(&self, tenant: TenantId, row: &SignerRow) -> Result<ArtifactKey> {
        ArtifactKey::from_secret(&self.sealer.open(Some(tenant), &purpose(row.id), &row.sealed_key).await?)
    }
}

/// The purpose of a sealed key.
pub(super) fn purpose(id: Uuid) -> String {
    format!("signer:{id}")
}
