//! Security policy certificates: this subject, with this key, may connect under this policy. A gateway decides with one without a connection.

use alloc::{string::String, vec::Vec};

use serde::Deserialize;

pub use crate::jws::Confirmation;
use crate::{AnchorSet, Compact, KeyState, KeyUse, Kind, Refusal, Shelf, strict};

/// The `typ` of the header.
const TYP: &str = "spc+jwt";
/// Tolerated difference of clocks, in seconds.
const SKEW: i64 = 60;

/// The claims of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Spc {
    /// The subject, such as `device:dev_...`.
    pub sub: String,
    /// Who may accept it, such as `pool:pool_...`.
    pub aud: Vec<String>,
    /// The tenant.
    pub tid: String,
    /// Its id.
    pub jti: String,
    /// Its serial number, under which it is revoked.
    pub serial: String,
    /// The key of the subject.
    pub cnf: Confirmation,
    /// The policy.
    pub pol: PolicyClaim,
    /// The minimum authentication mode: `A`, `B` or `C`.
    pub amr_min: String,
    /// The revocation epoch in which it was issued.
    pub epoch: u64,
    /// Not valid before this time, in seconds since 1970.
    pub nbf: i64,
    /// Not valid from this time on.
    pub exp: i64,
}

/// The policy of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PolicyClaim {
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: String,
}

/// What a gateway knows when a subject connects.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'c> {
    /// The audience that the gateway is, such as `pool:pool_...`.
    pub audience: &'c str,
    /// The thumbprint of the key that the subject has proven in the handshake.
    pub proven_key: &'c str,
    /// The digests of policies that are accepted: the current one, and for 15 minutes the one before.
    pub policies: &'c [&'c str],
}

/// The bundle: the keys of certificates, and what is revoked.
#[derive(Deserialize)]
struct Bundle {
    keys: Vec<BundleKey>,
    revocations: Revocations,
}

#[derive(Deserialize)]
struct BundleKey {
    id: String,
    state: KeyState,
}

#[derive(Deserialize)]
struct Revocations {
    serials: Vec<String>,
    epoch: u64,
    /// Whether these are all of them, not only those since an earlier bundle.
    full: bool,
}

/// What the configuration of a gateway says about new sessions.
#[derive(Deserialize)]
struct Deployment {
    desired_state: String,
    offline_grace_seconds: i64,
}

/// Verifies a certificate as [`verify`] does, for a gateway that cannot ask for a grant because it has not reached the control plane since
/// `heard_at`. The configuration on the shelf says for how long it may admit subjects by their certificates alone: by default not at all.
/// The gateway reports such a session later, with `admitted_offline`. A `heard_at` in the future, because the clock was set back, is refused.
pub fn verify_offline(
    anchors: &AnchorSet,
    shelf: &Shelf,
    spc: &str,
    connection: &Connection<'_>,
    heard_at: i64,
    now: i64,
) -> Result<Spc, Refusal> {
    let config = shelf.current(Kind::DeploymentConfig, now).ok_or(Refusal::NothingFresh)?;
    let config: Deployment = strict::parse(&config.payload)?;
    if config.desired_state != "serve" {
        return Err(Refusal::Draining);
    }
    if !(0..config.offline_grace_seconds).contains(&now.saturating_sub(heard_at)) {
        return Err(Refusal::OfflineGraceOver);
    }
    verify(anchors, shelf, spc, connection, now)
}

/// Verifies a certificate for a connection, against the current SPC bundle on the shelf, which must have all revocations. Whatever is unknown is
/// refused.
pub fn verify(
    anchors: &AnchorSet,
    shelf: &Shelf,
    spc: &str,
    connection: &Connection<'_>,
    now: i64,
) -> Result<Spc, Refusal> {
    let bundle = shelf.current(Kind::SpcBundle, now).filter(|_| anchors.is_fresh(now)).ok_or(Refusal::NothingFresh)?;
    let Bundle { keys, revocations } = strict::parse(&bundle.payload)?;
    if !revocations.full {
        return Err(Refusal::NothingFresh);
    }
    let signed = Compact::parse(spc, TYP)?;
    match keys.iter().find(|key| key.id == signed.key_id) {
        None => return Err(Refusal::UnknownKey),
        Some(key) if key.state == KeyState::Revoked => return Err(Refusal::RevokedKey),
        Some(_) => {}
    }
    let spc: Spc = signed.claims(anchors, KeyUse::SpcSigning, now)?;
    if now + SKEW < spc.nbf {
        return Err(Refusal::NotYetValid);
    }
    if now - SKEW >= spc.exp {
        return Err(Refusal::Expired);
    }
    if !spc.aud.iter().any(|audience| audience == connection.audience) {
        return Err(Refusal::Audience);
    }
    if spc.cnf.jkt != connection.proven_key {
        return Err(Refusal::KeyMismatch);
    }
    if spc.epoch < revocations.epoch || revocations.serials.contains(&spc.serial) {
        return Err(Refusal::Revoked);
    }
    if !connection.policies.contains(&spc.pol.digest.as_str()) {
        return Err(Refusal::PolicySuperseded);
    }
    Ok(spc)
}
