//! The signed bundle of a tenant: the keys of its certificates, and which of these are revoked (zero-trust contract, section 5.4). The one
//! with all revocations is signed once for each sequence, and shared by all consumers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::rules::invalid;
use crate::{
    base::{Cx, Error, Result, TenantRef, TenantScope, rfc3339::whole_seconds},
    store::{
        Change, Db, SPC_SKEW, Stamp, Store, Tx,
        columns::{KeyState, KeyUse, json as json_text},
        tables::{SignerRow, SpcBundleRow, SpcStateRow, TenantRows},
    },
    tenants,
    trust::{ArtifactKey, Trust, require_active, sign},
};

const TYPE: &str = "application/vnd.tenantry.spc-bundle+json";
const SCHEMA: &str = "tenantry.spc-bundle.v1";
/// Validity of a bundle, and how long before its end it is signed again.
const LIFE: Duration = Duration::hours(24);
const RENEWED_BEFORE: Duration = Duration::hours(12);

/// A signed bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub sequence: i64,
    /// `sha256:` and the digest of the payload, in hex.
    pub digest: String,
    /// In JSON.
    pub envelope: String,
    pub expires_at: OffsetDateTime,
}

impl Bundle {
    /// When it is signed again without a change.
    pub fn renew_at(&self) -> OffsetDateTime {
        self.expires_at - RENEWED_BEFORE
    }
}

#[derive(Serialize)]
struct Payload<'p> {
    schema: &'static str,
    sequence: i64,
    issued_at: String,
    expires_at: String,
    keys: &'p [Key],
    revocations: Revocations,
}

#[derive(Serialize)]
struct Revocations {
    serials: Vec<String>,
    epoch: i64,
    full: bool,
    /// Of the bundle that these continue, unless they are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_sequence: Option<i64>,
}

/// A key of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    id: String,
    alg: String,
    public_key: String,
    not_before: String,
    not_after: String,
    state: String,
}

/// What a bundle is signed with.
struct New {
    scope: TenantScope,
    key: Arc<ArtifactKey>,
}

/// The bundle of a tenant: with the revocations after a sequence, if it is known, or else all of them. Fails with INVALID_ARGUMENT for a
/// negative sequence.
pub async fn since(cx: &Cx, store: &Store, trust: &Trust, tenant: &TenantRef, sequence: Option<i64>) -> Result<Bundle> {
    check_sequence(sequence)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    since_in(store, trust, scope, sequence).await
}

/// Fails with INVALID_ARGUMENT for a negative sequence.
pub fn check_sequence(sequence: Option<i64>) -> Result<()> {
    if sequence.is_some_and(|sequence| sequence < 0) {
        return Err(invalid("since_sequence", "since_sequence must not be negative"));
    }
    Ok(())
}

pub(super) async fn since_in(
    store: &Store,
    trust: &Trust,
    scope: TenantScope,
    sequence: Option<i64>,
) -> Result<Bundle> {
    let full = stored(store, trust, scope).await?;
    match sequence {
        Some(sequence) if (1..=full.sequence).contains(&sequence) => delta(store, trust, scope, &full, sequence).await,
        _ => Ok(full.into()),
    }
}

/// The bundle of a tenant with all revocations.
pub async fn full(store: &Store, trust: &Trust, scope: TenantScope) -> Result<Bundle> {
    stored(store, trust, scope).await.map(Bundle::from)
}

async fn stored(store: &Store, trust: &Trust, scope: TenantScope) -> Result<SpcBundleRow> {
    let rows = store.tenant(scope);
    let keys = keys(&rows).await?;
    let (state, bundle) = (rows.spc_states().get().await?, rows.spc_bundles().get().await?);
    if let Some(bundle) = current(state.as_ref(), bundle, &keys, store.clock().now()) {
        return Ok(bundle);
    }
    trust.latest_anchors(scope).await?;
    let system = Cx::system("spc.bundle.issue", store.clock().clone());
    let sign = || async {
        let key = trust.signing_key(scope, KeyUse::SpcSigning).await?;
        store.write(&system, New { scope, key }, sign_in).await
    };
    trust.with_current_keys(sign).await
}

/// A bundle, if it has the current sequence and keys, and does not end soon.
fn current(
    state: Option<&SpcStateRow>,
    bundle: Option<SpcBundleRow>,
    keys: &str,
    now: OffsetDateTime,
) -> Option<SpcBundleRow> {
    let is_current = |bundle: &SpcBundleRow| {
        state.is_some_and(|state| state.sequence == bundle.sequence)
            && bundle.keys == keys
            && now + RENEWED_BEFORE < bundle.expires_at.time()
    };
    bundle.filter(is_current)
}

async fn sign_in(tx: &Tx, new: &New) -> Result<SpcBundleRow> {
    // Locked: of several first calls, one signs the bundle.
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(new.scope.tenant())).await?;
    let (rows, tenant) = (tx.tenant(scope), scope.tenant());
    let (keys, before) = (keys(&rows).await?, rows.spc_bundles().get().await?);
    let state = rows.spc_states().get().await?;
    if let Some(bundle) = current(state.as_ref(), before.clone(), &keys, tx.now()) {
        tx.audit_only(Some(tenant), tenant.zero_trust(), json!({"sequence": bundle.sequence}));
        return Ok(bundle);
    }
    require_active(tx, scope, KeyUse::SpcSigning, new.key.id()).await?;
    let is_known = |state: &SpcStateRow| {
        before.as_ref().is_none_or(|before| before.sequence != state.sequence || before.keys == keys)
    };
    let (state, is_new) = match state.filter(is_known) {
        Some(state) => (state, false),
        None => (rows.spc_states().raise(0).await?, true),
    };
    let issued_at = issued_at(tx.now(), before.filter(|before| before.sequence == state.sequence))?;
    let ended = Stamp::from(issued_at - SPC_SKEW);
    let serials = rows.spcs().revoked(state.epoch, (0, state.sequence), ended).await?;
    let row = SpcBundleRow {
        tenant_id: scope.into(),
        sequence: state.sequence,
        epoch: state.epoch,
        keys,
        digest: String::new(),
        envelope: String::new(),
        issued_at: issued_at.into(),
        expires_at: (issued_at + LIFE).into(),
    };
    let revoked = serials.len();
    let (digest, envelope) =
        signed(&row, Revocations { serials, epoch: row.epoch, full: true, since_sequence: None }, &new.key)?;
    let row = SpcBundleRow { digest, envelope, ..row };
    rows.spc_bundles().put(row.clone()).await?;
    let details = json!({"sequence": row.sequence, "revoked": revoked, "digest": row.digest, "key_id": new.key.id()});
    match is_new {
        true => tx.changed(Change::of_spc_bundle(tenant, row.sequence), tenant.zero_trust(), details),
        false => tx.audit_only(Some(tenant), tenant.zero_trust(), details),
    }
    Ok(row)
}

/// The time of a signature, in whole seconds: after that of the bundle that it replaces, or it would look like that one.
fn issued_at(now: OffsetDateTime, before: Option<SpcBundleRow>) -> Result<OffsetDateTime> {
    let now = now.replace_nanosecond(0).map_err(Error::internal)?;
    Ok(before.map_or(now, |before| now.max(before.issued_at.time() + Duration::SECOND)))
}

/// The revocations of a bundle after a sequence. It depends only on the bundle and the sequence, so that its entity tag stays the same.
async fn delta(store: &Store, trust: &Trust, scope: TenantScope, full: &SpcBundleRow, after: i64) -> Result<Bundle> {
    let ended = Stamp::from(full.issued_at.time() - SPC_SKEW);
    let serials = store.tenant(scope).spcs().revoked(full.epoch, (after, full.sequence), ended).await?;
    let key = trust.signing_key(scope, KeyUse::SpcSigning).await?;
    let revocations = Revocations { serials, epoch: full.epoch, full: false, since_sequence: Some(after) };
    let (digest, envelope) = signed(full, revocations, &key)?;
    Ok(Bundle { digest, envelope, ..full.clone().into() })
}

/// The digest and the envelope of a bundle with these revocations.
fn signed(row: &SpcBundleRow, revocations: Revocations, key: &ArtifactKey) -> Result<(String, String)> {
    let keys: Vec<Key> = json_text::from_text(&row.keys)?;
    let payload = Payload {
        schema: SCHEMA,
        sequence: row.sequence,
        issued_at: whole_seconds(row.issued_at.time())?,
        expires_at: whole_seconds(row.expires_at.time())?,
        keys: &keys,
        revocations,
    };
    let payload = serde_json::to_vec(&payload).map_err(Error::internal)?;
    Ok((bundle_verify::digest(&payload), sign(TYPE, &payload, [key])))
}

/// The keys of the certificates of a tenant, in JSON.
async fn keys(rows: &TenantRows<'_, impl Db>) -> Result<String> {
    let signers = rows.signers().all().await?;
    let of_spcs = signers.iter().filter(|row| row.key_use == KeyUse::SpcSigning);
    let keys: Vec<Key> = of_spcs.map(key).filter_map(Result::transpose).collect::<Result<_>>()?;
    json_text::to_text(&keys)
}

/// A key in a bundle, as in an anchor set; a retired one is no longer in it.
fn key(row: &SignerRow) -> Result<Option<Key>> {
    let state = match row.state {
        KeyState::Pending => "upcoming",
        KeyState::Active => "active",
        KeyState::Retiring => "retiring",
        KeyState::Revoked => "revoked",
        KeyState::Retired => return Ok(None),
    };
    Ok(Some(Key {
        id: row.key_id.clone(),
        alg: "EdDSA".to_owned(),
        public_key: row.public_key.clone(),
        not_before: whole_seconds(row.not_before.time())?,
        not_after: whole_seconds(row.not_after.time())?,
        state: state.to_owned(),
    }))
}

impl From<SpcBundleRow> for Bundle {
    fn from(row: SpcBundleRow) -> Self {
        Self { sequence: row.sequence, digest: row.digest, envelope: row.envelope, expires_at: row.expires_at.time() }
    }
}
