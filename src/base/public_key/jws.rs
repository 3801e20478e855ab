//! Compact JSON Web Signatures (RFC 7515) by keys of callers: proofs of DPoP, and of the key of an enrollment.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{Jwk, PublicKey};

/// Maximum length, in bytes: an RSA key of 8192 bits and its signature need 3 KiB.
const MAX_LEN: usize = 8 * 1024;

/// A parsed signature that is not verified yet.
#[derive(Debug)]
pub struct Compact<'t> {
    header: Header,
    /// Encoded header and payload: the signing input.
    message: &'t str,
    payload: &'t str,
    signature: Vec<u8>,
}

/// The header. Unknown members are ignored; those that change how the rest must be read are not supported.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    jwk: Option<Jwk>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
}

impl<'t> Compact<'t> {
    /// Parses a signature. `None` if it is malformed or requires an unsupported feature.
    pub fn parse(text: &'t str) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let understood = header.crit.is_none() && header.b64.is_none();
        understood.then_some(Self { header, message, payload, signature })
    }

    /// Whether the header has this type; `application/` may be omitted in it (RFC 7515, 4.1.9).
    pub fn has_type(&self, wanted: &str) -> bool {
        let is_same = |typ: &str| {
            let (head, rest) = typ.split_at_checked("application/".len()).unwrap_or(("", typ));
            let short = if head.eq_ignore_ascii_case("application/") { rest } else { typ };
            short.eq_ignore_ascii_case(wanted)
        };
        self.header.typ.as_deref().is_some_and(is_same)
    }

    /// The key in the header. It is the signer's own statement, until a signature by it is verified.
    pub fn key(&self) -> Option<PublicKey> {
        PublicKey::from_jwk(self.header.jwk.as_ref()?).ok()
    }

    /// The claims, if the key signed them.
    pub fn verify<T: DeserializeOwned>(&self, key: &PublicKey) -> Option<T> {
        if !key.verifies_jws(&self.header.alg, self.message.as_bytes(), &self.signature) {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(self.payload).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::public_key::testing::TestKey;

    #[test]
    fn every_type_of_key_signs() {
        for key in [TestKey::p256(), TestKey::p384(), TestKey::ed25519()] {
            let text = key.jws(&json!({"typ": "t", "jwk": key.jwk()}), &json!({"a": 1}));
            let jws = Compact::parse(&text).unwrap();
            assert_eq!(jws.key(), Some(key.public()));
            assert_eq!(jws.verify::<Value>(&key.public()), Some(json!({"a": 1})));
            assert_eq!(jws.verify::<Value>(&TestKey::p256().public()), None, "another key");
        }
        let text = include_str!("../../../tests/data/keys/rsa3072.jws").trim();
        let jws = Compact::parse(text).unwrap();
        let claims = jws.verify::<Value>(&jws.key().unwrap());
        assert_eq!(claims, Some(json!({"hello": "world"})));
    }

    #[test]
    fn the_header_does_not_choose_the_algorithm_of_a_key() {
        let key = TestKey::p256();
        for alg in ["none", "HS256", "ES384", "RS256", "EdDSA", "es256", ""] {
            let text = key.jws(&json!({"alg": alg}), &json!({}));
            assert_eq!(Compact::parse(&text).unwrap().verify::<Value>(&key.public()), None, "{alg}");
        }
    }

    #[test]
    fn malformed_and_unsupported_texts_are_refused() {
        let key = TestKey::ed25519();
        let good = key.jws(&json!({}), &json!({}));
        for bad in ["", "a.b", "a.b.c", &good.replace('.', ""), &format!("{good}="), &format!("{good}.x")] {
            assert!(Compact::parse(bad).is_none(), "{bad}");
        }
        for header in [json!({"crit": ["exp"]}), json!({"b64": true}), json!({"jwk": 7})] {
            assert!(Compact::parse(&key.jws(&header, &json!({}))).is_none(), "{header}");
        }
        assert!(Compact::parse(&key.jws(&json!({"x": "y".repeat(MAX_LEN)}), &json!({}))).is_none(), "too long");
        let (head, signature) = good.rsplit_once('.').unwrap();
        let changed = format!("{}.{signature}", head.replace("e30", "eyJhIjoxfQ"));
        assert_eq!(Compact::parse(&changed).unwrap().verify::<Value>(&key.public()), None, "another payload");
    }

    #[test]
    fn types_are_compared_as_media_types() {
        let key = TestKey::ed25519();
        let has = |typ| Compact::parse(&key.jws(&json!({"typ": typ}), &json!({}))).unwrap().has_type("dpop+jwt");
        assert!(["dpop+jwt", "DPoP+JWT", "application/dpop+jwt"].into_iter().all(has));
        assert!(!["", "jwt", "dpop", "application/jwt", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"].into_iter().any(has));
    }
}
