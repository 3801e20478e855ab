//! The signed policies of devices (zero-trust contract, sections 5.3 and 6.1). A bundle is signed once for each resolution, and shared
//! by all devices that have it.

mod payload;

use std::sync::Arc;

use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub use self::payload::{Issue, payload};
use super::{current, ending, resolve::Resolved};
use crate::{
    base::{Cx, Error, IdKind, Kind, Result, TenantRef, TenantScope, digest::sha256_hex, error::Reason},
    store::{
        Store, Tx,
        columns::{KeyUse, PolicyChannel},
        tables::PolicyBundleRow,
    },
    tenants,
    trust::{ArtifactKey, Trust, require_active, sign},
};

/// How often the policy of a device is read again that changes meanwhile.
const ATTEMPTS: usize = 5;
const TYPE: &str = "application/vnd.tenantry.policy+json";

/// The signed policy of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub version: i64,
    pub channel: PolicyChannel,
    /// `sha256:` and the digest of the payload, in hex.
    pub digest: String,
    /// In JSON.
    pub envelope: String,
    pub issued_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// A bundle to be issued.
struct New {
    scope: TenantScope,
    device: Uuid,
    /// The resolution that the device had when it was read.
    resolution: String,
    /// A version that other devices of the resolution need.
    least: i64,
    key: Arc<ArtifactKey>,
}

/// The policy of a device. Fails with NOT_FOUND if there is no such device, no policy for it, or only one that has expired; with
/// PERMISSION_DENIED if the device is not active.
pub async fn of_device(cx: &Cx, store: &Store, trust: &Trust, tenant: &TenantRef, device: &str) -> Result<Bundle> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let device = IdKind::Device.read(device).ok_or_else(current::not_found)?;
    for _ in 1..ATTEMPTS {
        match attempt(store, trust, scope, device).await {
            Err(error) if error.reason == Reason::VersionStale => {}
            outcome => return outcome,
        }
    }
    attempt(store, trust, scope, device).await
}

async fn attempt(store: &Store, trust: &Trust, scope: TenantScope, device: Uuid) -> Result<Bundle> {
    let now = store.clock().now().into();
    let current = current::of_device(&store.tenant(scope), device, now).await?;
    if current.is_unsettled {
        ending::settle(store, scope).await?;
        return Err(changed());
    }
    let resolved = current.resolve().ok_or_else(nothing_published)?;
    if resolved.is_expired(now) {
        return Err(expired());
    }
    of_resolution(store, trust, scope, device, (&key_of(&resolved), current.least)).await
}

/// The error for a device whose policy changed while it was read.
fn changed() -> Error {
    Error::new(Kind::Aborted, Reason::VersionStale, "the policy of the device changed in this moment; try again")
}

/// The policy with this resolution and at least this version, which is that of this device and of others.
pub async fn of_resolution(
    store: &Store,
    trust: &Trust,
    scope: TenantScope,
    device: Uuid,
    (resolution, least): (&str, i64),
) -> Result<Bundle> {
    let known = store.tenant(scope).policy_bundles().signed(resolution).await?;
    if let Some(bundle) = known.filter(|bundle| bundle.version >= least) {
        return Ok(bundle.into());
    }
    trust.latest_anchors(scope).await?;
    let system = Cx::system("policy.bundle.issue", store.clock().clone());
    let sign = || async {
        let key = trust.signing_key(scope, KeyUse::PolicySigning).await?;
        let new = New { scope, device, resolution: resolution.to_owned(), least, key };
        store.write(&system, new, issue).await.map(Bundle::from)
    };
    trust.with_current_keys(sign).await
}

async fn issue(tx: &Tx, new: &New) -> Result<PolicyBundleRow> {
    // Locked: of several first calls, one issues the bundle. Nothing is published, and no group changes, meanwhile.
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(new.scope.tenant())).await?;
    let (rows, now) = (tx.tenant(scope), tx.now());
    let current = current::of_device(&rows, new.device, now.into()).await?;
    let resolved = current.resolve().ok_or_else(nothing_published)?;
    if resolved.is_expired(now.into()) {
        return Err(expired());
    }
    let resolution = key_of(&resolved);
    if current.is_unsettled || resolution != new.resolution {
        // Of another device with the resolution that was asked for, it would be the wrong policy.
        return Err(changed());
    }
    let least = current.least.max(new.least);
    if let Some(bundle) = rows.policy_bundles().signed(&resolution).await?
        && bundle.version >= least
    {
        tx.audit_only(Some(scope.tenant()), IdKind::Policy.show(bundle.bundle_id), json!({"version": bundle.version}));
        return Ok(bundle);
    }
    require_active(tx, scope, KeyUse::PolicySigning, new.key.id()).await?;
    // One that another key signed is signed anew: its devices must get neither a lower version nor an earlier one of the same version.
    let before = rows.policy_bundles().of(&resolution).await?;
    let version = before.as_ref().map_or(least, |before| least.max(before.version));
    // Later than any other of this version, which its devices may have had. Payloads have whole seconds: in the same one, it could have the
    // same digest, and look like the one before.
    let last = rows.policy_bundles().last_issued(version).await?;
    let issued_at = last.map_or(now, |last| now.max(last.time() + Duration::SECOND));
    let expires_at = resolved.expires_at().ok_or_else(nothing_published)?;
    let issue =
        Issue { bundle_id: tx.new_id(), tenant: scope.tenant(), version, issued_at, expires_at: expires_at.time() };
    let payload = payload(&resolved, &issue)?;
    let row = PolicyBundleRow {
        tenant_id: scope.into(),
        resolution,
        bundle_id: issue.bundle_id,
        version,
        key_id: new.key.id().to_owned(),
        channel: resolved.channel(),
        digest: bundle_verify::digest(&payload),
        envelope: sign(TYPE, &payload, [new.key.as_ref()]),
        issued_at: issue.issued_at.into(),
        expires_at,
    };
    rows.policy_bundles().put(row.clone()).await?;
    let details = json!({"version": version, "digest": row.digest, "key_id": new.key.id()});
    tx.audit_only(Some(scope.tenant()), IdKind::Policy.show(row.bundle_id), details);
    Ok(row)
}

/// The key of a resolution: devices with the same one get the same bytes.
pub fn key_of(resolved: &Resolved<'_>) -> String {
    key_of_sources(resolved.sources.iter().map(|source| source.id))
}

/// The key of a resolution with these sources.
pub(super) fn key_of_sources(sources: impl IntoIterator<Item = Uuid>) -> String {
    let sources: Vec<Uuid> = sources.into_iter().collect();
    sha256_hex(sources.iter().map(|source| source.as_bytes().as_slice()))
}

/// Without a policy, a device must deny.
fn nothing_published() -> Error {
    Error::new(Kind::NotFound, Reason::PolicyVersionNotFound, "no policy is published for the device")
}

/// An outdated policy is not used, so the device must deny.
fn expired() -> Error {
    let text = "the policy of the device has expired; an administrator must publish it again";
    Error::new(Kind::NotFound, Reason::PolicyExpired, text)
}

impl From<PolicyBundleRow> for Bundle {
    fn from(row: PolicyBundleRow) -> Self {
        Self {
            version: row.version,
            channel: row.channel,
            digest: row.digest,
            envelope: row.envelope,
            issued_at: row.issued_at.time(),
            expires_at: row.expires_at.time(),
        }
    }
}
