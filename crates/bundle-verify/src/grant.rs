//! Admission grants: the control plane lets this device start a session at this gateway.

use alloc::string::String;

use serde::Deserialize;

use crate::{AnchorSet, Compact, KeyUse, Refusal, jws::Confirmation};

/// The `typ` of the header.
const TYP: &str = "grant+jwt";
/// Tolerated difference of clocks, in seconds.
const SKEW: i64 = 60;

/// The claims of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Grant {
    /// Its id. A gateway accepts it once.
    pub jti: String,
    /// The session.
    pub sid: String,
    /// The subject: `device:dev_...`.
    pub sub: String,
    /// The gateway that may accept it.
    pub gw: String,
    /// The pool of the gateway.
    pub pool: String,
    /// The key of the device.
    pub cnf: Confirmation,
    /// The address of the session, if it has one.
    pub vip: Option<String>,
    /// The session ends at this time at the latest, in seconds since 1970.
    pub max_end: i64,
    /// The time of the grant.
    pub iat: i64,
    /// The session must start before this time.
    pub exp: i64,
}

/// Verifies a grant for a gateway, and the thumbprint of the key that the device has proven. `used` says whether an id was accepted before, and
/// remembers it until the grant expires.
pub fn verify(
    anchors: &AnchorSet,
    grant: &str,
    gateway: &str,
    proven_key: &str,
    now: i64,
    used: impl FnOnce(&Grant) -> bool,
) -> Result<Grant, Refusal> {
    if !anchors.is_fresh(now) {
        return Err(Refusal::NothingFresh);
    }
    let grant: Grant = Compact::parse(grant, TYP)?.claims(anchors, KeyUse::AdmissionSigning, now)?;
    if now + SKEW < grant.iat {
        return Err(Refusal::NotYetValid);
    }
    if now - SKEW >= grant.exp || now >= grant.max_end {
        return Err(Refusal::Expired);
    }
    if grant.gw != gateway {
        return Err(Refusal::Audience);
    }
    if grant.cnf.jkt != proven_key {
        return Err(Refusal::KeyMismatch);
    }
    // Last, so that a refused grant is not used up.
    if used(&grant) { Err(Refusal::Replayed) } else { Ok(grant) }
}
