//! Our tokens: JWTs signed with Ed25519, in the shape of RFC 9068.
//!
//! A token is checked in two parts. What cannot change (form, signature, issuer, claims) is verified once and
//! may be cached; what depends on the time and the call (times, audience, revocation) is checked on every use.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    jws::{self, Header, Jws},
    keys::Keys,
};
use crate::auth::surface::Surface;
use crate::base::{Clock, Error, Result, Role, error::Reason};

pub const ISSUER: &str = "tenantry";
const TYPE: &str = "at+jwt";
/// Maximum length of a token, in bytes.
pub const MAX_LEN: usize = 8 * 1024;
/// Tolerated clock difference, in seconds.
pub const LEEWAY: i64 = 60;
/// Maximum lifetime of a token, in seconds: 400 days. A revocation is kept as long.
pub const MAX_LIFETIME: i64 = 400 * 24 * 3600;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// The surfaces that accept the token.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    pub sub: String,
    /// In seconds since the Unix epoch, as are `exp` and `nbf`.
    pub iat: i64,
    pub exp: i64,
    /// Set only if later than `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    pub jti: String,
    pub role: String,
    /// Granted roles, without `role`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Tenant of the caller, by id or name in any spelling; absent for platform callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The project that the caller is restricted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The account that logged in; absent in minted tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Uuid>,
    /// Epoch of the account at login. A later epoch revokes the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
}

impl Claims {
    /// Claims of a token issued without a login, valid from now on.
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

    /// When the token expires.
    pub fn expires_at(&self) -> Result<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(self.exp).map_err(Error::internal)
    }
}

pub fn issue(keys: &Keys, claims: &Claims) -> Result<String> {
    jws::sign(keys.signing(), &Header::eddsa(TYPE, keys.kid()), claims).map_err(Error::internal)
}

/// Verifies form, signature and issuer of a token. The caller must then check times, audience and revocation.
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

/// Whether a text can be the subject of a token: it must not be empty, and must fit into one log line.
pub fn is_subject(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

/// Checks times and audience of a token at `now` on a surface.
pub fn check(claims: &Claims, surface: Surface, now: i64) -> Result<()> {
    check_times(claims.exp, claims.nbf, Some(claims.iat), now)?;
    // A session was signed with this server's clock, and ends with the login or role that it depends on, so there
    // is no leeway.
    if end(claims) <= now {
        return Err(expired());
    }
    if claims.aud.iter().any(|audience| audience == surface.as_str()) { Ok(()) } else { Err(invalid()) }
}

/// When a token begins to be refused. Minted tokens have [`LEEWAY`].
pub fn end(claims: &Claims) -> i64 {
    if claims.account.is_some() { claims.exp } else { claims.exp.saturating_add(LEEWAY) }
}

/// Checks the times of a token with [`LEEWAY`].
pub(in crate::auth) fn check_times(exp: i64, nbf: Option<i64>, iat: Option<i64>, now: i64) -> Result<()> {
    if exp.saturating_add(LEEWAY) <= now {
        return Err(expired());
    }
    let begins = nbf.into_iter().chain(iat).max();
    if begins.is_some_and(|begins| begins > now.saturating_add(LEEWAY)) { Err(invalid()) } else { Ok(()) }
}

/// Parses a token of any issuer.
pub(in crate::auth) fn parse(token: &str) -> Result<Jws<'_>> {
    if token.len() > MAX_LEN {
        return Err(invalid());
    }
    Jws::parse(token).ok_or_else(invalid)
}

/// The unverified claims of a token of any issuer. `None` if it is not a token.
pub fn unverified_claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    Jws::parse(token)?.unverified()
}

fn is_access_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case(TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
}

/// `aud` is a string or a list of strings (RFC 7519, 4.1.3).
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

/// The request has no credential and needs one.
pub fn missing() -> Error {
    Error::unauthenticated(Reason::CredentialsMissing, "credentials are required")
}

/// The credential cannot be used; the error does not say why.
pub fn invalid() -> Error {
    Error::unauthenticated(Reason::CredentialsInvalid, "the credentials are not valid here")
}

pub fn expired() -> Error {
    Error::unauthenticated(Reason::CredentialsExpired, "the credentials have expired")
}

pub fn revoked() -> Error {
    Error::unauthenticated(Reason::CredentialsRevoked, "the credentials have been revoked")
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
