//! Signing and storing the next anchor set of a tenant.

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::{Installation, TrustSettings, envelope};
use crate::{
    base::{Error, Result, TenantScope, rfc3339::whole_seconds},
    store::{
        Change, ChangeKind, Resource, Stamp, Tx,
        columns::{KeyState, KeyUse},
        tables::{AnchorSetRow, SignerRow, installation_keys},
    },
};

const TYPE: &str = "application/vnd.tenantry.trust-anchors+json";
const SCHEMA: &str = "tenantry.trust-anchors.v1";
/// Validity of a set.
const LIFE: Duration = Duration::days(30);

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

/// Signs and stores the set after the newest one, with the keys as they are in this write. Lock the tenant first. Fails if the
/// keys of the installation have changed since they were read.
pub(super) async fn publish(
    tx: &Tx,
    scope: TenantScope,
    settings: &TrustSettings,
    installation: &Installation,
) -> Result<AnchorSetRow> {
    installation.require_current(tx).await?;
    let rows = tx.tenant(scope);
    let before = rows.anchor_sets().latest().await?;
    let signers = rows.signers().all().await?;
    let sequence = before.as_ref().map_or(1, |before| before.sequence + 1);
    // Whole seconds, as in the payload, and not before the set before, whatever the clock of its server said.
    let now = tx.now().replace_nanosecond(0).map_err(Error::internal)?;
    let issued_at = before.as_ref().map_or(now, |before| before.issued_at.time().max(now));
    let expires_at = issued_at + LIFE;
    let payload = Payload {
        schema: SCHEMA,
        trust_domain: settings.domain.as_str(),
        sequence,
        issued_at: whole_seconds(issued_at)?,
        expires_at: whole_seconds(expires_at)?,
        refresh_hint_seconds: settings.refresh.whole_seconds(),
        anchors: anchors(installation.rows(), &signers, issued_at)?,
    };
    let payload = serde_json::to_vec(&payload).map_err(Error::internal)?;
    let trusted = before.as_ref().map(trusted_roots).transpose()?.unwrap_or_default();
    let row = AnchorSetRow {
        tenant_id: scope.into(),
        sequence,
        digest: bundle_verify::digest(&payload),
        envelope: envelope::sign(TYPE, &payload, installation.roots(&trusted)),
        installation: installation.digest().to_owned(),
        issued_at: issued_at.into(),
        expires_at: expires_at.into(),
    };
    rows.anchor_sets().insert(row.clone()).await?;
    let id = scope.tenant().zero_trust();
    tx.also_changed(Change::new(Resource::TrustAnchors, ChangeKind::Updated, id).within(scope.tenant()).at(sequence));
    Ok(row)
}

/// The ids of the roots that a consumer with this set trusts.
fn trusted_roots(set: &AnchorSetRow) -> Result<Vec<String>> {
    let read = bundle_verify::AnchorSet::first(set.envelope.as_bytes());
    let read = read.map_err(|refusal| Error::internal(format!("a stored anchor set is {}", refusal.code())))?;
    let trusted = read.anchors.into_iter().filter(|anchor| {
        anchor.key_use == bundle_verify::KeyUse::Root && anchor.state != bundle_verify::KeyState::Revoked
    });
    Ok(trusted.map(|anchor| anchor.id).collect())
}

/// The keys of a set, those of the installation first.
fn anchors<'k>(
    installation: &'k [installation_keys::Model],
    signers: &'k [SignerRow],
    at: OffsetDateTime,
) -> Result<Vec<Anchor<'k>>> {
    let of_installation = installation.iter().map(|row| Key {
        id: &row.key_id,
        key_use: row.key_use,
        public_key: &row.public_key,
        certificate: row.certificate.as_deref(),
        validity: (row.not_before, row.not_after),
        state: row.state,
    });
    let of_tenant = signers.iter().map(|row| Key {
        id: &row.key_id,
        key_use: row.key_use,
        public_key: &row.public_key,
        certificate: row.certificate.as_deref(),
        validity: (row.not_before, row.not_after),
        state: row.state,
    });
    let all = of_installation.chain(of_tenant);
    all.filter_map(|key| Some((announced(&key, at)?, key))).map(|(state, key)| key.anchor(state)).collect()
}

/// What a set says about a key.
struct Key<'k> {
    id: &'k str,
    key_use: KeyUse,
    public_key: &'k str,
    certificate: Option<&'k str>,
    validity: (Stamp, Stamp),
    state: KeyState,
}

impl<'k> Key<'k> {
    fn anchor(self, state: &'static str) -> Result<Anchor<'k>> {
        let (not_before, not_after) = (whole_seconds(self.validity.0.time())?, whole_seconds(self.validity.1.time())?);
        let alg = if self.certificate.is_some() { "ES256" } else { "EdDSA" };
        Ok(Anchor {
            id: self.id,
            key_use: self.key_use.as_str(),
            alg,
            public_key: self.public_key,
            x5c: self.certificate,
            not_before,
            not_after,
            state,
        })
    }
}

/// The state of a key in a set. A retired key is no longer in it, nor is a revoked one that would have expired.
fn announced(key: &Key<'_>, at: OffsetDateTime) -> Option<&'static str> {
    match key.state {
        KeyState::Pending => Some("upcoming"),
        KeyState::Active => Some("active"),
        KeyState::Retiring => Some("retiring"),
        KeyState::Revoked => (at < key.validity.1.time()).then_some("revoked"),
        KeyState::Retired => None,
    }
}
