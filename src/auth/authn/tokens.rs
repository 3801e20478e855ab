//! Our tokens: JWT signed with Ed25519 (RFC 9068 in shape).
//!
//! A token is checked in two parts. What never changes of it (form, signature, issuer, claims) is checked once and may
//! be cached; what depends on the moment and the call (times, audience, revocation) is checked on every use.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    jws::{self, Header, Jws},
    keys::Keys,
};
use crate::auth::surface::Surface;
use crate::base::{Clock, Error, Result, Role, error::Reason};

/// The issuer of our tokens.
pub const ISSUER: &str = "tenantry";
/// The header's `typ`.
const TYPE: &str = "at+jwt";
/// Longest token that is looked at, in bytes.
pub const MAX_LEN: usize = 8 * 1024;
/// How far clocks may differ, in seconds.
pub const LEEWAY: i64 = 60;
/// Longest life of a token, in seconds: 400 days. A revocation is kept as long, so none is forgotten before its token
/// ends.
pub const MAX_LIFETIME: i64 = 400 * 24 * 3600;

/// The claims of our tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: always [`ISSUER`].
    pub iss: String,
    /// The surfaces that the token is good for, by their words.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Subject.
    pub sub: String,
    /// When it was signed, in seconds since the epoch.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// When it begins, if later than `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Id of the token.
    pub jti: String,
    /// Role, by its word.
    pub role: String,
    /// Roles that were granted beside it, by their words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Tenant of the caller, by id or name in any spelling; absent for platform callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Project that the caller is confined to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The account that logged in; absent on minted tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Uuid>,
    /// Epoch of that account when it logged in. A later epoch revokes the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
}

impl Claims {
    /// Claims of a token that no login stands behind, from now on.
    pub fn minted(subject: String, role: Role, audience: &[Surface], ttl: Duration, clock: &Clock) -> Self {
        let now = clock.unix();
        Self {
            iss: ISSUER.to_owned(),
            aud: audience.iter().map(|surface| surface.as_str().to_owned()).collect(),
            sub: subject,
            iat: now,
            exp: now.saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX)),
            nbf: None,
            jti: clock.new_id().to_string(),
            role: role.as_str().to_owned(),
            roles: Vec::new(),
            tenant: None,
            project: None,
            account: None,
            epoch: None,
        }
    }
}

/// Signs claims.
pub fn issue(keys: &Keys, claims: &Claims) -> Result<String> {
    jws::sign(keys.signing(), &Header::eddsa(TYPE, keys.kid()), claims).map_err(Error::internal)
}

/// Checks form, signature and issuer of a token. Times, audience and revocation are the caller's to check next.
pub fn verify(keys: &Keys, token: &str) -> Result<Claims> {
    let jws = parse(token)?;
    if !jws.header.typ.as_deref().is_some_and(is_access_token) {
        return Err(invalid());
    }
    let key = jws.header.kid.as_deref().and_then(|kid| keys.verifying(kid)).ok_or_else(invalid)?;
    let claims: Claims = jws.verify(key).ok_or_else(invalid)?;
    if claims.iss != ISSUER || claims.jti.is_empty() || claims.account.is_some() != claims.epoch.is_some() {
        return Err(invalid());
    }
    let lifetime = claims.exp.saturating_sub(claims.iat);
    if lifetime > MAX_LIFETIME || !is_subject(&claims.sub) { Err(invalid()) } else { Ok(claims) }
}

/// Whether a text may be the subject of a token: there is one, and it fits one line of a log.
pub fn is_subject(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

/// Checks times and audience at the moment `now` on a surface.
pub fn check(claims: &Claims, surface: Surface, now: i64) -> Result<()> {
    check_times(claims.exp, claims.nbf, Some(claims.iat), now)?;
    // A session was signed by this server's own clock, and ends with what it rests on: there is no leeway in that.
    if claims.account.is_some() && claims.exp <= now {
        return Err(expired());
    }
    if claims.aud.iter().any(|audience| audience == surface.as_str()) { Ok(()) } else { Err(invalid()) }
}

/// Checks the times of a token, with [`LEEWAY`] either way.
pub(in crate::auth) fn check_times(exp: i64, nbf: Option<i64>, iat: Option<i64>, now: i64) -> Result<()> {
    if exp.saturating_add(LEEWAY) <= now {
        return Err(expired());
    }
    let begins = nbf.into_iter().chain(iat).max();
    if begins.is_some_and(|begins| begins > now.saturating_add(LEEWAY)) { Err(invalid()) } else { Ok(()) }
}

/// Takes a token of any issuer apart.
pub(in crate::auth) fn parse(token: &str) -> Result<Jws<'_>> {
    if token.len() > MAX_LEN {
        return Err(invalid());
    }
    Jws::parse(token).ok_or_else(invalid)
}

/// The claims of a token of any issuer, as they stand: its signature is not verified. `None` if it is no token.
pub fn unverified_claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    Jws::parse(token)?.unverified()
}

fn is_access_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case(TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
}

/// `aud` is one text or a list of texts (RFC 7519, 4.1.3).
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}

/// The answer to a request that needs a credential and has none.
pub fn missing() -> Error {
    Error::unauthenticated(Reason::CredentialsMissing, "credentials are required")
}

/// The answer to a credential that cannot be used, whatever is wrong with it.
pub fn invalid() -> Error {
    Error::unauthenticated(Reason::CredentialsInvalid, "the credentials are not valid here")
}

/// The answer to a credential that has ended.
pub fn expired() -> Error {
    Error::unauthenticated(Reason::CredentialsExpired, "the credentials have expired")
}

/// The answer to a credential that was revoked.
pub fn revoked() -> Error {
    Error::unauthenticated(Reason::CredentialsRevoked, "the credentials have been revoked")
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
