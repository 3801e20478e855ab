//! Anchor sets: the keys that the devices and gateways of a tenant trust, in numbered and signed sets.

use std::sync::Arc;

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{Installation, Trust, TrustSettings, publish::publish};
use crate::{
    base::{Cx, Error, Result, TenantRef, TenantScope, error::Reason},
    store::{
        Tx,
        tables::{AnchorSetRow, SignerRow},
    },
    tenants,
};

/// How long before the end of a set the next one is made.
const RENEWED_BEFORE: Duration = Duration::days(10);

/// A signed set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorSet {
    pub sequence: i64,
    /// `sha256:` and the digest of the payload, in hex.
    pub digest: String,
    /// In JSON.
    pub envelope: String,
    pub issued_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl AnchorSet {
    /// When the next set is made, without a change of keys.
    pub fn renew_at(&self) -> OffsetDateTime {
        self.expires_at - RENEWED_BEFORE
    }
}

impl Trust {
    /// The set with this number, or the newest one. Fails with NOT_FOUND if there is no such set.
    pub async fn anchors(&self, cx: &Cx, tenant: &TenantRef, sequence: Option<i64>) -> Result<AnchorSet> {
        let scope = tenants::reach(cx, &self.store, tenant).await?;
        let latest = self.latest_anchors(scope).await?;
        match sequence {
            Some(sequence) if sequence != latest.sequence => {
                let unknown =
                    || Error::not_found(Reason::AnchorSetNotFound, "there is no anchor set with this sequence");
                self.anchor_set(scope, sequence).await?.ok_or_else(unknown)
            }
            _ => Ok(latest),
        }
    }

    /// The set with this number, if there is one.
    pub async fn anchor_set(&self, scope: TenantScope, sequence: i64) -> Result<Option<AnchorSet>> {
        let found = self.store.tenant(scope).anchor_sets().numbered(sequence).await?;
        Ok(found.map(AnchorSet::from))
    }

    /// The newest set of a tenant. The first call makes the keys of the tenant and its first set. A set that would expire soon, or has
    /// other keys than the installation, is followed by the next one.
    pub async fn latest_anchors(&self, scope: TenantScope) -> Result<AnchorSet> {
        self.with_current_keys(|| self.current_anchors(scope)).await
    }

    async fn current_anchors(&self, scope: TenantScope) -> Result<AnchorSet> {
        let installation = self.installation().await?;
        let latest = self.store.tenant(scope).anchor_sets().latest().await?;
        let signers = match &latest {
            Some(row) if is_current(row, &installation, self.store.clock().now()) => return Ok(row.clone().into()),
            Some(_) => Vec::new(),
            None => self.first_signers(scope).await?,
        };
        let task = if latest.is_some() { "trust.anchors.renew" } else { "trust.anchors.create" };
        let next = Next { scope, signers, installation, settings: self.settings.clone() };
        let cx = Cx::system(task, self.store.clock().clone());
        self.store.write(&cx, next, make_next).await.map(AnchorSet::from)
    }
}

/// Whether a set may still be returned.
fn is_current(row: &AnchorSetRow, installation: &Installation, now: OffsetDateTime) -> bool {
    now + RENEWED_BEFORE < row.expires_at.time() && row.installation == installation.digest()
}

/// What the next set of a tenant is made from, besides its keys.
struct Next {
    scope: TenantScope,
    /// The keys of a tenant without a set.
    signers: Vec<SignerRow>,
    installation: Arc<Installation>,
    settings: Arc<TrustSettings>,
}

async fn make_next(tx: &Tx, next: &Next) -> Result<AnchorSetRow> {
    // Locked: of several first calls, one makes the keys.
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(next.scope.tenant())).await?;
    let latest = tx.tenant(scope).anchor_sets().latest().await?;
    let row = match latest {
        Some(row) if is_current(&row, &next.installation, tx.now()) => row,
        Some(_) => publish(tx, scope, &next.settings, &next.installation).await?,
        None => {
            tx.tenant(scope).signers().insert(next.signers.clone()).await?;
            publish(tx, scope, &next.settings, &next.installation).await?
        }
    };
    let details = json!({"sequence": row.sequence, "digest": row.digest});
    tx.audit_only(Some(scope.tenant()), scope.tenant().zero_trust(), details);
    Ok(row)
}

impl From<AnchorSetRow> for AnchorSet {
    fn from(row: AnchorSetRow) -> Self {
        Self {
            sequence: row.sequence,
            digest: row.digest,
            envelope: row.envelope,
            issued_at: row.issued_at.time(),
            expires_at: row.expires_at.time(),
        }
    }
}
