//! Anchor sets: the keys that the devices and gateways of a tenant trust, in numbered and signed sets.

use std::sync::Arc;

use serde::Serialize;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Installation, Trust, TrustSettings, envelope};
use crate::{
    base::{Cx, Error, Result, TenantRef, TenantScope, error::Reason},
    store::{
        Change, ChangeKind, Resource, Stamp, Tx,
        columns::{KeyState, KeyUse},
        tables::{AnchorSetRow, SignerRow, installation_keys},
    },
    tenants,
};

const TYPE: &str = "application/vnd.tenantry.trust-anchors+json";
const SCHEMA: &str = "tenantry.trust-anchors.v1";
/// Validity of a set, and how long before its end the next one is made.
const LIFE: Duration = Duration::days(30);
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

/// The payload of a set.
#[derive(Serialize)]
struct Payload<'p> {
    schema: &'static str,
    trust_domain: &'p str,
    sequence: i64,
    issued_at: String,
    expires_at: String,
    refresh_hint_seconds: i64,
    anchors: Vec<Anchor<'p>>,
}

#[derive(Serialize)]
struct Anchor<'p> {
    id: &'p str,
    #[serde(rename = "use")]
    key_use: &'static str,
    alg: &'static str,
    public_key: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5c: Option<&'p str>,
    not_before: String,
    not_after: String,
    state: &'static str,
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

    /// The newest set of a tenant. The first call makes the keys of the tenant and its first set; a set that would expire soon is
    /// followed by the next one.
    pub async fn latest_anchors(&self, scope: TenantScope) -> Result<AnchorSet> {
        if let Some(row) = self.store.tenant(scope).anchor_sets().latest().await? {
            if self.store.clock().now() + RENEWED_BEFORE < row.expires_at.time() {
                return Ok(row.into());
            }
            let next = Next { scope, installation: self.installation().await?, settings: self.settings.clone() };
            let cx = Cx::system("trust.anchors.renew", self.store.clock().clone());
            return self.store.write(&cx, next, make_next).await.map(AnchorSet::from);
        }
        let first = First {
            scope,
            signers: self.first_signers(scope).await?,
            installation: self.installation().await?,
            settings: self.settings.clone(),
        };
        let cx = Cx::system("trust.anchors.create", self.store.clock().clone());
        self.store.write(&cx, first, make_first).await.map(AnchorSet::from)
    }
}

/// What the first set of a tenant is made from.
struct First {
    scope: TenantScope,
    signers: Vec<SignerRow>,
    installation: Arc<Installation>,
    settings: Arc<TrustSettings>,
}

async fn make_first(tx: &Tx, first: &First) -> Result<AnchorSetRow> {
    // Locked: of several first calls, one makes the keys.
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(first.scope.tenant())).await?;
    let rows = tx.tenant(scope);
    if let Some(row) = rows.anchor_sets().latest().await? {
        tx.audit_only(Some(scope.tenant()), scope.tenant().zero_trust(), serde_json::Value::Null);
        return Ok(row);
    }
    rows.signers().insert(first.signers.clone()).await?;
    publish(tx, scope, &first.settings, &first.installation, &first.signers, 1).await
}

/// What the next set of a tenant is made from, besides its keys.
struct Next {
    scope: TenantScope,
    installation: Arc<Installation>,
    settings: Arc<TrustSettings>,
}

async fn make_next(tx: &Tx, next: &Next) -> Result<AnchorSetRow> {
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(next.scope.tenant())).await?;
    let rows = tx.tenant(scope);
    let latest = rows.anchor_sets().latest().await?.ok_or_else(|| Error::internal("a tenant has no anchor set"))?;
    if tx.now() + RENEWED_BEFORE < latest.expires_at.time() {
        tx.audit_only(Some(scope.tenant()), scope.tenant().zero_trust(), serde_json::Value::Null);
        return Ok(latest);
    }
    let signers = rows.signers().all().await?;
    publish(tx, scope, &next.settings, &next.installation, &signers, latest.sequence + 1).await
}

/// Signs and stores the set with this number.
async fn publish(
    tx: &Tx,
    scope: TenantScope,
    settings: &TrustSettings,
    installation: &Installation,
    signers: &[SignerRow],
    sequence: i64,
) -> Result<AnchorSetRow> {
    // Whole seconds, as in the payload.
    let issued_at = tx.now().replace_nanosecond(0).map_err(Error::internal)?;
    let expires_at = issued_at + LIFE;
    let payload = Payload {
        schema: SCHEMA,
        trust_domain: settings.domain.as_str(),
        sequence,
        issued_at: time(issued_at)?,
        expires_at: time(expires_at)?,
        refresh_hint_seconds: settings.refresh.whole_seconds(),
        anchors: anchors(installation.rows(), signers)?,
    };
    let payload = serde_json::to_vec(&payload).map_err(Error::internal)?;
    let row = AnchorSetRow {
        tenant_id: scope.into(),
        sequence,
        digest: bundle_verify::digest(&payload),
        envelope: envelope::sign(TYPE, &payload, installation.roots()),
        issued_at: issued_at.into(),
        expires_at: expires_at.into(),
    };
    tx.tenant(scope).anchor_sets().insert(row.clone()).await?;
    let id = scope.tenant().zero_trust();
    let change =
        Change::new(Resource::TrustAnchors, ChangeKind::Updated, id.clone()).within(scope.tenant()).at(sequence);
    tx.changed(change, id, serde_json::json!({"sequence": sequence, "digest": row.digest}));
    Ok(row)
}

/// The keys of a set, those of the installation first.
fn anchors<'k>(installation: &'k [installation_keys::Model], signers: &'k [SignerRow]) -> Result<Vec<Anchor<'k>>> {
    let of_installation = installation.iter().map(|row| {
        (
            row.state,
            anchor(
                row.key_use,
                &row.key_id,
                &row.public_key,
                row.certificate.as_deref(),
                row.not_before,
                row.not_after,
            ),
        )
    });
    let of_tenant = signers.iter().map(|row| {
        (
            row.state,
            anchor(
                row.key_use,
                &row.key_id,
                &row.public_key,
                row.certificate.as_deref(),
                row.not_before,
                row.not_after,
            ),
        )
    });
    let mut anchors = Vec::new();
    for (state, anchor) in of_installation.chain(of_tenant) {
        if let Some(state) = announced(state) {
            anchors.push(Anchor { state, ..anchor? });
        }
    }
    Ok(anchors)
}

fn anchor<'k>(
    key_use: KeyUse,
    id: &'k str,
    public_key: &'k str,
    x5c: Option<&'k str>,
    not_before: Stamp,
    not_after: Stamp,
) -> Result<Anchor<'k>> {
    let (not_before, not_after) = (time(not_before.time())?, time(not_after.time())?);
    let alg = if x5c.is_some() { "ES256" } else { "EdDSA" };
    Ok(Anchor { id, key_use: key_use.as_str(), alg, public_key, x5c, not_before, not_after, state: "" })
}

/// The state of a key in a set; a retired key is no longer in it.
fn announced(state: KeyState) -> Option<&'static str> {
    match state {
        KeyState::Pending => Some("upcoming"),
        KeyState::Active => Some("active"),
        KeyState::Retiring => Some("retiring"),
        KeyState::Revoked => Some("revoked"),
        KeyState::Retired => None,
    }
}

/// A time in a payload: RFC 3339 in UTC, in whole seconds.
fn time(time: OffsetDateTime) -> Result<String> {
    time.replace_nanosecond(0).map_err(Error::internal)?.format(&Rfc3339).map_err(Error::internal)
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
