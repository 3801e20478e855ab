//! Signed tokens: the compact serialization of JSON Web Signature (RFC 7515) with the two algorithms in use,
//! EdDSA over Ed25519 (RFC 8037) and HS256 (RFC 7518, 3.2).
//!
//! A key is bound to one algorithm, so a token's header cannot choose how its signature is verified. Claims are
//! returned only after verification; checking their values is up to the caller.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use sha2::Sha256;

const EDDSA: &str = "EdDSA";
const HS256: &str = "HS256";

#[derive(Clone)]
pub(in crate::auth) enum Key {
    /// An Ed25519 public key.
    EdDsa(ed25519_dalek::VerifyingKey),
    /// A shared secret.
    Hs256(Hmac<Sha256>),
}

/// The header of a token. Unknown members are ignored, as RFC 7515 requires.
#[derive(Debug, Deserialize, Serialize)]
pub(in crate::auth) struct Header {
    alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::auth) typ: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::auth) kid: Option<String>,
    #[serde(flatten, skip_serializing)]
    rest: BTreeMap<String, IgnoredAny>,
}

/// Members that change how a token must be read: `crit` lists extensions that the recipient must understand
/// (RFC 7515, 4.1.11), `b64` changes the signing input (RFC 7797). Neither is supported, so tokens with them
/// are refused.
const REFUSED: [&str; 2] = ["crit", "b64"];

/// A parsed token that is not verified yet.
pub(in crate::auth) struct Jws<'t> {
    pub(in crate::auth) header: Header,
    /// Encoded header and payload: the signing input.
    message: &'t str,
    payload: &'t str,
    signature: &'t str,
}

impl Key {
    pub(in crate::auth) fn hs256(secret: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(secret).ok().map(Self::Hs256)
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::EdDsa(_) => EDDSA,
            Self::Hs256(_) => HS256,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // Strict verification refuses keys and signatures of small order, under which one signature is valid for
            // many messages.
            Self::EdDsa(key) => {
                Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
            // Constant-time comparison.
            Self::Hs256(key) => key.clone().chain_update(message).verify_slice(signature).is_ok(),
        }
    }
}

impl Header {
    /// The header of a token signed with an Ed25519 key.
    pub(in crate::auth) fn eddsa(typ: &str, kid: &str) -> Self {
        Self { alg: EDDSA.to_owned(), typ: Some(typ.to_owned()), kid: Some(kid.to_owned()), rest: BTreeMap::new() }
    }

    /// Whether the header names HS256.
    pub(in crate::auth) fn is_hs256(&self) -> bool {
        self.alg == HS256
    }
}

impl<'t> Jws<'t> {
    /// Parses a token. `None` if it is malformed or requires an unsupported feature.
    pub(in crate::auth) fn parse(token: &'t str) -> Option<Self> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let header: Header = json(header)?;
        let understood = !REFUSED.iter().any(|member| header.rest.contains_key(*member));
        understood.then_some(Self { header, message, payload, signature })
    }

    /// The claims, if the signature is valid under the key.
    pub(in crate::auth) fn verify<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        let signature = URL_SAFE_NO_PAD.decode(self.signature).ok()?;
        let good = self.header.alg == key.alg() && key.verifies(self.message.as_bytes(), &signature);
        good.then(|| json(self.payload)).flatten()
    }

    /// The claims without verification, so they may be forged.
    pub(in crate::auth) fn unverified<T: DeserializeOwned>(&self) -> Option<T> {
        json(self.payload)
    }
}

/// Signs claims with an Ed25519 key.
pub(in crate::auth) fn sign(key: &SigningKey, header: &Header, claims: &impl Serialize) -> serde_json::Result<String> {
    let [header, claims] =
        [serde_json::to_vec(header)?, serde_json::to_vec(claims)?].map(|p| URL_SAFE_NO_PAD.encode(p));
    let message = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes());
    Ok(format!("{message}.{signature}"))
}

/// Signs claims with a shared secret. `None` for another kind of key.
pub(in crate::auth) fn sign_hs256(key: &Key, claims: &impl Serialize) -> Option<String> {
    let Key::Hs256(key) = key else { return None };
    let header = Header { alg: HS256.to_owned(), typ: Some("JWT".to_owned()), kid: None, rest: BTreeMap::new() };
    let [header, claims] =
        [serde_json::to_vec(&header).ok()?, serde_json::to_vec(claims).ok()?].map(|p| URL_SAFE_NO_PAD.encode(p));
    let message = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.clone().chain_update(&message).finalize().into_bytes());
    Some(format!("{message}.{signature}"))
}

fn json<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// A test token signed with a shared secret, whose header names HS256 or another algorithm.
#[cfg(test)]
pub(in crate::auth) fn sign_hmac(alg: &str, secret: &[u8], claims: &impl Serialize) -> String {
    let header = serde_json::json!({"alg": alg, "typ": "JWT"});
    sign_hmac_with(&header, secret, claims)
}

/// [`sign_hmac`] with a custom header.
#[cfg(test)]
pub(in crate::auth) fn sign_hmac_with(header: &serde_json::Value, secret: &[u8], claims: &impl Serialize) -> String {
    let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap());
    let message = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let hash = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(hash))
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;
