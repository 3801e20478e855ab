//! Proofs of possession in the `DPoP` header (RFC 9449, section 4): the client of a device token proves, for each
//! request, that it has the key to which the token is bound.

use http::{HeaderMap, HeaderName, request::Parts};
use serde::Deserialize;
use url::Url;

use super::dpop_replay::{Unusable, Used};
use crate::{
    auth::{request::ClientInfo, surface::decoded},
    base::{
        Clock, Error, Kind, Result,
        error::Reason,
        public_key::{Compact, PublicKey, sha256_base64url},
        public_url::PublicUrl,
    },
};

/// The header with the proof.
pub const HEADER: HeaderName = HeaderName::from_static("dpop");
const TYPE: &str = "dpop+jwt";
/// How much the time of a proof may differ from ours, in seconds.
const WINDOW: i64 = 60;
/// Maximum length of the id of a proof, in bytes.
const MAX_ID: usize = 256;

/// The claims of a proof (RFC 9449, section 4.2).
#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    /// In seconds since the Unix epoch.
    iat: i64,
    ath: Option<String>,
}

/// A proof whose signature is valid.
pub struct Proof {
    key: PublicKey,
    claims: Claims,
}

impl Proof {
    /// Parses a proof, and verifies its signature by the key in its header.
    pub fn read(text: &str) -> Result<Self> {
        let jws = Compact::parse(text).ok_or_else(|| invalid("the DPoP proof must be a compact JWS"))?;
        if !jws.has_type(TYPE) {
            return Err(invalid("the typ of a DPoP proof must be dpop+jwt"));
        }
        let key = jws.key().ok_or_else(|| {
            invalid(
                "a DPoP proof must have its public key as jwk: P-256, P-384, Ed25519, or RSA with 3072 to 8192 bits",
            )
        })?;
        let claims = jws.verify(&key).ok_or_else(|| {
            invalid("a DPoP proof must be signed by its jwk, with ES256, ES384, EdDSA, RS256 or PS256, over jti, htm, htu and iat")
        })?;
        Ok(Self { key, claims })
    }

    /// Checks that the proof is for this request, and of about now.
    fn check(&self, call: &Parts, public: Option<&Url>, token: &str, now: i64) -> Result<()> {
        let Claims { jti, htm, htu, iat, ath } = &self.claims;
        if htm != call.method.as_str() {
            return Err(invalid("the htm of the DPoP proof is not the method of the request"));
        }
        if !is_target(htu, call, public) {
            return Err(invalid(
                "the htu of the DPoP proof is not the URL of the request, without its query, under the public URL of the server",
            ));
        }
        if now.checked_sub(*iat).is_none_or(|age| !(-WINDOW..=WINDOW).contains(&age)) {
            return Err(invalid(
                "the iat of the DPoP proof differs by more than 60 seconds from the time of the server",
            ));
        }
        if ath.as_deref() != Some(&*sha256_base64url(token.as_bytes())) {
            return Err(invalid("the ath of the DPoP proof is not the hash of the token"));
        }
        if jti.is_empty() || jti.len() > MAX_ID {
            return Err(invalid("the jti of a DPoP proof must have 1 to 256 bytes"));
        }
        Ok(())
    }
}

/// A valid proof. It must be noted, once its caller is known, so that only those who may call fill the memory.
#[derive(Debug)]
#[must_use]
pub(super) struct Proven {
    thumbprint: String,
    jti: String,
    /// When it begins to be refused.
    until: i64,
}

/// Checks proofs, and remembers them.
#[derive(Debug)]
pub(super) struct Proofs {
    used: Used,
    /// The URL under which clients reach the server; if it is not known, what requests say.
    public: Option<Url>,
    clock: Clock,
}

impl Proofs {
    pub(super) fn new(clock: Clock) -> Self {
        Self { used: Used::default(), public: None, clock }
    }

    pub(super) fn with_public_url(self, url: Option<PublicUrl>) -> Self {
        Self { public: url.and_then(|url| Url::parse(&url.at("")).ok()), ..self }
    }

    /// Checks that a request has a proof by the key with this thumbprint, for this token.
    pub(super) fn verify(&self, call: &Parts, token: &str, thumbprint: &str) -> Result<Proven> {
        let (proof, now) = (Proof::read(header(&call.headers)?)?, self.clock.unix());
        proof.check(call, self.public.as_ref(), token, now)?;
        if proof.key.thumbprint() != thumbprint {
            return Err(invalid("the DPoP proof is by another key than that of the token"));
        }
        let Claims { jti, iat, .. } = proof.claims;
        Ok(Proven { thumbprint: thumbprint.to_owned(), jti, until: iat.saturating_add(WINDOW) })
    }

    /// Notes that a proof was used. Fails if it was before.
    pub(super) fn note(&self, proven: &Proven) -> Result<()> {
        let now = self.clock.unix();
        self.used.note(&proven.thumbprint, &proven.jti, proven.until, now).map_err(|unusable| match unusable {
            Unusable::Used => invalid("the DPoP proof was used before; make a new one for each request"),
            Unusable::Full => Error::new(
                Kind::Unavailable,
                Reason::Overloaded,
                "too many DPoP proofs were used; retry in two minutes",
            ),
        })
    }
}

fn header(headers: &HeaderMap) -> Result<&str> {
    let mut all = headers.get_all(&HEADER).iter();
    let (Some(proof), None) = (all.next(), all.next()) else {
        return Err(invalid("a device token needs exactly one DPoP header with a proof"));
    };
    proof.to_str().map_err(|_| invalid("the DPoP proof must be a compact JWS"))
}

/// Whether a URL is that of the request, whatever the query (RFC 9449, section 4.3). The URLs are normalized by the rules of
/// their scheme and syntax. The origin is that of the public URL: a client that another server lured into making a proof for it
/// must not be replayed here, and the `Host` of a request is what its sender writes. Without a public URL, there is nothing else
/// to compare with. The path is the one that was requested, below that of the public URL.
fn is_target(htu: &str, call: &Parts, public: Option<&Url>) -> bool {
    let (Ok(url), Some(own)) = (Url::parse(htu), own_url(call, public)) else { return false };
    let is_plain = url.username().is_empty() && url.password().is_none();
    is_plain
        && (url.scheme(), url.host(), url.port_or_known_default())
            == (own.scheme(), own.host(), own.port_or_known_default())
        && decoded(url.path()) == decoded(own.path())
}

/// The URL of a request as its client should have addressed us.
fn own_url(call: &Parts, public: Option<&Url>) -> Option<Url> {
    let path = call.uri.path();
    if let Some(public) = public {
        let base = public.as_str().trim_end_matches('/');
        return Url::parse(&format!("{base}{path}")).ok();
    }
    let client = call.extensions.get::<ClientInfo>()?;
    // If a proxy does not report the scheme, the client is taken to use TLS.
    let scheme = if client.needs_tls() { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{}{path}", client.host.as_ref()?)).ok()
}

fn invalid(message: &'static str) -> Error {
    Error::unauthenticated(Reason::DpopProofInvalid, message)
}

#[cfg(test)]
#[path = "dpop_tests.rs"]
mod tests;
