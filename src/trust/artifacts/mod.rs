//! Signed artifacts that are stored: what they say is read from the tables, and signed once for all who get it.
//!
//! An artifact is signed again if it says something else, before it expires, and after its key was retired or revoked. Its number does
//! not decrease, and neither does the time of issue at the same number, so consumers take it for newer (docs/bundle-verification.md).

mod payload;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use self::payload::payload;
use super::{ArtifactKey, Trust, require_active, sign};
use crate::{
    base::{Cx, Result, TenantRef, TenantScope, digest::sha256_hex},
    store::{
        Db, Stamp, Tx,
        columns::{ArtifactKind, KeyState, KeyUse},
        tables::{ArtifactRow, SignerRow, TenantRows},
    },
    tenants,
};

/// A signed artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub number: i64,
    /// `sha256:` and the digest of the payload, in hex.
    pub digest: String,
    /// In JSON.
    pub envelope: String,
    pub issued_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// What an artifact says, and where it belongs.
#[derive(Clone, Debug)]
pub struct Content {
    /// Which of its kind it is: the id of a gateway, for example.
    pub place: String,
    /// The least number that it may have; `None` to count what it says.
    pub number: Option<i64>,
    /// The members of the payload, besides schema, number and times.
    pub members: Map<String, Value>,
    /// How long it is valid.
    pub life: Duration,
    /// The time beyond which it must not be valid.
    pub until: Option<OffsetDateTime>,
}

/// Reads what an artifact says.
pub trait ArtifactSource: Send + Sync + 'static {
    const KIND: ArtifactKind;

    /// What the artifact says at this time. Depends on nothing but the tables, the time and `self`.
    fn content<D: Db>(
        &self,
        rows: &TenantRows<'_, D>,
        scope: TenantScope,
        now: OffsetDateTime,
    ) -> impl Future<Output = Result<Content>> + Send;
}

impl Trust {
    /// The artifact of a source, signed now unless the stored one is current.
    pub async fn artifact<S: ArtifactSource>(&self, scope: TenantScope, source: S) -> Result<Artifact> {
        let rows = self.store.tenant(scope);
        let content = source.content(&rows, scope, self.store.clock().now()).await?;
        let stored = rows.artifacts().of(S::KIND, &content.place).await?;
        if let Some(row) = stored {
            let signers = rows.signers().all().await?;
            if is_current(&row, &content, &signers, self.store.clock().now()) {
                return Ok(row.into());
            }
        }
        // The first call makes the keys.
        self.latest_anchors(scope).await?;
        let (cx, source) = (Cx::system("trust.artifact.issue", self.store.clock().clone()), Arc::new(source));
        let sign = || async {
            let key = self.signing_key(scope, key_use(S::KIND)).await?;
            self.store.write(&cx, New { scope, source: source.clone(), key }, issue::<S>).await.map(Artifact::from)
        };
        self.with_current_keys(sign).await
    }
}

/// An artifact to be issued.
struct New<S> {
    scope: TenantScope,
    source: Arc<S>,
    key: Arc<ArtifactKey>,
}

async fn issue<S: ArtifactSource>(tx: &Tx, new: &New<S>) -> Result<ArtifactRow> {
    // Locked: of several calls, one issues the artifact, and what it says does not change meanwhile.
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(new.scope.tenant())).await?;
    let (rows, now) = (tx.tenant(scope), tx.now());
    let content = new.source.content(&rows, scope, now).await?;
    let stored = rows.artifacts().of(S::KIND, &content.place).await?;
    if let Some(row) = &stored
        && is_current(row, &content, &rows.signers().all().await?, now)
    {
        tx.audit_only(Some(scope.tenant()), row.digest.clone(), json!({"number": row.number}));
        return Ok(row.clone());
    }
    require_active(tx, scope, key_use(S::KIND), new.key.id()).await?;
    // Consumers may have had another one of this number before.
    let last = match content.number {
        Some(_) => rows.artifacts().last_issued(S::KIND, number(stored.as_ref(), &content)).await?,
        None => None,
    };
    let row = signed::<S>(scope, &content, stored.as_ref(), last, &new.key, now)?;
    // A number that was counted is only in the row.
    if content.number.is_some() {
        rows.artifacts().delete_expired(S::KIND, now.into()).await?;
    }
    rows.artifacts().put(row.clone()).await?;
    let details = json!({"kind": row.kind.as_str(), "number": row.number, "key_id": row.key_id});
    tx.audit_only(Some(scope.tenant()), row.digest.clone(), details);
    Ok(row)
}

/// An artifact that says this, after the stored one, and after the last one of its kind with this number.
fn signed<S: ArtifactSource>(
    scope: TenantScope,
    content: &Content,
    stored: Option<&ArtifactRow>,
    last: Option<Stamp>,
    key: &ArtifactKey,
    now: OffsetDateTime,
) -> Result<ArtifactRow> {
    let (says, number) = (digest(content), number(stored, content));
    let own = stored.filter(|row| row.number == number).map(|row| row.issued_at);
    // Payloads have whole seconds: in the same one, it would have the same digest, and look like the one before.
    let issued_at = own.max(last).map_or(now, |before| now.max(before.time() + Duration::SECOND));
    let expires_at = end_of(content, issued_at);
    let payload = payload(S::KIND, number, issued_at, expires_at, &content.members)?;
    let kind = S::KIND;
    Ok(ArtifactRow {
        tenant_id: scope.into(),
        kind,
        place: content.place.clone(),
        number,
        content: says,
        key_id: key.id().to_owned(),
        digest: bundle_verify::digest(&payload),
        envelope: sign(&payload::media_type(kind), &payload, [key]),
        issued_at: issued_at.into(),
        expires_at: expires_at.into(),
    })
}

/// The number of an artifact that says this, after the stored one.
fn number(stored: Option<&ArtifactRow>, content: &Content) -> i64 {
    match (stored, content.number) {
        (Some(row), Some(least)) => row.number.max(least),
        (Some(row), None) => row.number + i64::from(row.content != digest(content)),
        (None, least) => least.unwrap_or(1),
    }
}

/// Whether a stored artifact still says this, under a key that is trusted, for long enough.
fn is_current(row: &ArtifactRow, content: &Content, signers: &[SignerRow], now: OffsetDateTime) -> bool {
    let trusted = |signer: &SignerRow| {
        signer.key_id == row.key_id
            && signer.retired_at.is_none()
            && matches!(signer.state, KeyState::Active | KeyState::Retiring)
    };
    let (issued_at, expires_at) = (row.issued_at.time(), row.expires_at.time());
    let is_fresh = now < issued_at + (expires_at - issued_at) * 2 / 3;
    row.content == digest(content)
        && content.number.is_none_or(|least| least <= row.number)
        && signers.iter().any(trusted)
        && (is_fresh || now < expires_at && end_of(content, now) <= expires_at)
}

/// When an artifact that is issued now would expire.
fn end_of(content: &Content, issued_at: OffsetDateTime) -> OffsetDateTime {
    let end = issued_at + content.life;
    content.until.map_or(end, |until| until.min(end))
}

fn digest(content: &Content) -> String {
    sha256_hex([Value::Object(content.members.clone()).to_string().as_bytes()])
}

fn key_use(kind: ArtifactKind) -> KeyUse {
    match kind {
        ArtifactKind::GatewayPolicy
        | ArtifactKind::DeploymentConfig
        | ArtifactKind::Manifest
        | ArtifactKind::GatewayPools => KeyUse::PolicySigning,
    }
}

impl From<ArtifactRow> for Artifact {
    fn from(row: ArtifactRow) -> Self {
        Self {
            number: row.number,
            digest: row.digest,
            envelope: row.envelope,
            issued_at: row.issued_at.time(),
            expires_at: row.expires_at.time(),
        }
    }
}
