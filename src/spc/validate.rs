//! Whether a certificate would be accepted now, and if not, why.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bundle_verify::{AnchorSet, Compact, KeyState, KeyUse, Refusal};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::{
    claims::{Claims, TYP},
    device::{self, Policies},
};
use crate::{
    base::{Basis, Cx, Error, IdKind, Result, TenantId, TenantRef, TenantScope, error::Reason},
    policy::scope::Scope,
    store::{
        SPC_SKEW, Stamp, Store,
        tables::{DeviceRow, PolicyRow, SpcRow},
    },
    tenants,
    trust::Trust,
};

/// How long gateways accept the policy before the current one.
const OVERLAP: Duration = Duration::minutes(15);

/// The certificate in question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A compact JWS.
    Signed(String),
    /// A public id.
    Id(String),
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Expired,
    NotYetValid,
    BadSignature,
    UnknownKey,
    Revoked,
    Audience,
    PolicySuperseded,
    SubjectInactive,
    Unknown,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
            Self::Revoked => "revoked",
            Self::Audience => "audience",
            Self::PolicySuperseded => "policy_superseded",
            Self::SubjectInactive => "subject_inactive",
            Self::Unknown => "unknown",
        }
    }
}

/// A check, and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
}

/// The outcome of all checks that could be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// In order: the first one that fails is the reason.
    pub checks: Vec<Check>,
    /// Of a certificate of the tenant.
    pub claims: Option<Claims>,
}

impl Validation {
    pub fn reason(&self) -> Verdict {
        let failed = self.checks.iter().find(|check| check.verdict != Verdict::Ok);
        failed.map_or(Verdict::Ok, |check| check.verdict)
    }

    /// Adds a check, and returns whether it succeeded.
    fn add(&mut self, name: &'static str, verdict: Verdict) -> bool {
        self.checks.push(Check { name, verdict });
        verdict == Verdict::Ok
    }
}

/// Validates a certificate. One of another tenant is unknown, and so is, for a device, one of another device. Fails with INVALID_ARGUMENT
/// for a text that is not a certificate or an id of one.
pub async fn validate(
    cx: &Cx,
    store: &Store,
    trust: &Trust,
    tenant: &TenantRef,
    question: &Question,
) -> Result<Validation> {
    let asked = Asked::read(question)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let mut found = Validation::default();
    let Some(row) = known(store, trust, scope, &asked, cx.caller.basis, &mut found).await? else { return Ok(found) };
    let now = store.clock().now();
    found.claims = Some(Claims::of(&row, scope.tenant(), trust.domain()));
    found.add("validity", validity(&row, now));
    let device = store.tenant(scope).devices().get(row.device_id).await?;
    let active = match &device {
        Some(device) => device::is_active(store.read(), scope, device).await?,
        None => false,
    };
    found.add("subject", if active { Verdict::Ok } else { Verdict::SubjectInactive });
    let epoch = store.tenant(scope).spc_states().epoch().await?;
    let is_revoked = row.revoked_at.is_some() || row.epoch < epoch;
    found.add("revocation", if is_revoked { Verdict::Revoked } else { Verdict::Ok });
    found.add("audience", audience(store, scope, &row, cx.caller.basis).await?);
    found.add("policy", policy(store, scope, &row, device.as_ref(), now).await?);
    Ok(found)
}

/// A certificate as it was given.
enum Asked<'q> {
    Signed { compact: Compact<'q>, tenant: TenantId, id: uuid::Uuid },
    Id(uuid::Uuid),
}

/// The claims that say which certificate it is. Nothing of them is trusted.
#[derive(Deserialize)]
struct Unverified {
    tid: String,
    jti: String,
}

impl<'q> Asked<'q> {
    fn read(question: &'q Question) -> Result<Self> {
        match question {
            Question::Id(id) => {
                let message = "spc_id is not the id of a certificate";
                let malformed = || Error::invalid(Reason::SpcMalformed, "spc_id", message);
                Ok(Self::Id(IdKind::Spc.read(id).ok_or_else(malformed)?))
            }
            Question::Signed(text) => Self::signed(text).ok_or_else(malformed),
        }
    }

    fn signed(text: &'q str) -> Option<Self> {
        let compact = Compact::parse(text, TYP).ok()?;
        let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
        let Unverified { tid, jti } = serde_json::from_slice(&payload).ok()?;
        Some(Self::Signed { compact, tenant: tid.parse().ok()?, id: IdKind::Spc.read(&jti)? })
    }
}

fn malformed() -> Error {
    Error::invalid(Reason::SpcMalformed, "X-SPC", "X-SPC is not a certificate: a compact JWS with the type spc+jwt")
}

/// The certificate, if it is one of the tenant that this caller may know, and of a key that is trusted.
async fn known(
    store: &Store,
    trust: &Trust,
    scope: TenantScope,
    asked: &Asked<'_>,
    caller: Basis,
    found: &mut Validation,
) -> Result<Option<SpcRow>> {
    let rows = store.tenant(scope);
    let id = match asked {
        Asked::Signed { tenant, .. } if *tenant != scope.tenant() => {
            found.add("known", Verdict::Unknown);
            return Ok(None);
        }
        Asked::Signed { id, .. } | Asked::Id(id) => *id,
    };
    let own = |row: &SpcRow| !matches!(caller, Basis::Device { id, .. } if id != row.device_id);
    let row = rows.spcs().get(id).await?.filter(own);
    let anchors = trust.latest_anchors(scope).await?;
    let anchors = AnchorSet::first(anchors.envelope.as_bytes());
    let anchors = anchors.map_err(|refusal| Error::internal(format!("our anchors are {}", refusal.code())))?;
    if let Asked::Signed { compact, .. } = asked {
        let claims = compact.claims::<Claims>(&anchors, KeyUse::SpcSigning, store.clock().unix());
        let (key, signature) = signed_by(claims.as_ref().err().copied());
        if !found.add("key", key) || !found.add("signature", signature) {
            return Ok(None);
        }
    }
    let Some(row) = row else {
        found.add("known", Verdict::Unknown);
        return Ok(None);
    };
    found.add("known", Verdict::Ok);
    if let Asked::Id(_) = asked {
        found.add("key", key(&anchors, &row.key_id));
    }
    Ok(Some(row))
}

/// The outcomes of the checks of the key and the signature.
fn signed_by(refusal: Option<Refusal>) -> (Verdict, Verdict) {
    match refusal {
        None => (Verdict::Ok, Verdict::Ok),
        Some(Refusal::RevokedKey) => (Verdict::Revoked, Verdict::Ok),
        Some(Refusal::UnknownKey | Refusal::WrongUse | Refusal::KeyNotValid) => (Verdict::UnknownKey, Verdict::Ok),
        Some(_) => (Verdict::Ok, Verdict::BadSignature),
    }
}

/// Whether a key is trusted.
fn key(anchors: &AnchorSet, id: &str) -> Verdict {
    let mut of_spcs = anchors.anchors.iter().filter(|anchor| anchor.key_use == KeyUse::SpcSigning);
    match of_spcs.find(|anchor| anchor.id == id) {
        None => Verdict::UnknownKey,
        Some(anchor) if anchor.state == KeyState::Revoked => Verdict::Revoked,
        Some(_) => Verdict::Ok,
    }
}

/// With the tolerance of gateways.
fn validity(row: &SpcRow, now: OffsetDateTime) -> Verdict {
    if Stamp::from(now + SPC_SKEW) < row.not_before {
        Verdict::NotYetValid
    } else if Stamp::from(now - SPC_SKEW) >= row.not_after {
        Verdict::Expired
    } else {
        Verdict::Ok
    }
}

/// Whether the gateway that asks is in the audience; for other callers, whether any pool of it exists.
async fn audience(store: &Store, scope: TenantScope, row: &SpcRow, caller: Basis) -> Result<Verdict> {
    let rows = store.tenant(scope);
    let is_in = match caller {
        Basis::Gateway { id, .. } => {
            rows.gateways().get(id).await?.is_some_and(|gateway| row.pool_ids.contains(&gateway.pool_id))
        }
        Basis::Token | Basis::Account { .. } | Basis::ApiKey(_) | Basis::Device { .. } => {
            !rows.gateway_pools().existing(&row.pool_ids).await?.is_empty()
        }
    };
    Ok(if is_in { Verdict::Ok } else { Verdict::Audience })
}

/// Whether the device still has the policy, or had it until a moment ago.
async fn policy(
    store: &Store,
    scope: TenantScope,
    row: &SpcRow,
    device: Option<&DeviceRow>,
    now: OffsetDateTime,
) -> Result<Verdict> {
    let Some(device) = device else { return Ok(Verdict::PolicySuperseded) };
    let rows = store.tenant(scope);
    let policies = Policies::of(&rows, device, now.into()).await?;
    let issued_for = rows.policies().version(row.policy_version).await?;
    for source in policies.stable().map(|stable| stable.sources).unwrap_or_default() {
        let Some(current) = rows.policies().version(source.version).await? else { continue };
        let replaces = |old: &PolicyRow| Scope::of(old) == source.scope && old.version < current.version;
        let is_recent = Stamp::from(now - OVERLAP) < current.published_at;
        if current.digest == row.policy_digest || is_recent && issued_for.as_ref().is_some_and(replaces) {
            return Ok(Verdict::Ok);
        }
    }
    Ok(Verdict::PolicySuperseded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_first_check_that_fails() {
        let mut found = Validation::default();
        assert!(found.add("key", Verdict::Ok));
        assert_eq!(found.reason(), Verdict::Ok);
        assert!(!found.add("subject", Verdict::SubjectInactive));
        found.add("revocation", Verdict::Revoked);
        assert_eq!(found.reason(), Verdict::SubjectInactive);
    }

    #[test]
    fn a_refused_signature_is_a_check() {
        assert_eq!(signed_by(None), (Verdict::Ok, Verdict::Ok));
        assert_eq!(signed_by(Some(Refusal::UnknownKey)).0, Verdict::UnknownKey);
        assert_eq!(signed_by(Some(Refusal::RevokedKey)).0, Verdict::Revoked);
        assert_eq!(signed_by(Some(Refusal::BadSignature)), (Verdict::Ok, Verdict::BadSignature));
    }

    #[test]
    fn only_certificates_can_be_validated() {
        let read = |question: Question| Asked::read(&question).map(drop).map_err(|error| error.reason);
        for bad in ["", "a.b.c", "spc_01J7ST8Z0GFCQ9TCATDDY8V7GF"] {
            assert_eq!(read(Question::Signed(bad.to_owned())), Err(Reason::SpcMalformed), "{bad}");
        }
        assert_eq!(read(Question::Id("dev_01J7ST8Z0GFCQ9TCATDDY8V7GF".to_owned())), Err(Reason::SpcMalformed));
        assert!(read(Question::Id("spc_01J7ST8Z0GFCQ9TCATDDY8V7GF".to_owned())).is_ok());
    }
}
