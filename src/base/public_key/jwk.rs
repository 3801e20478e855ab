//! Public keys as JSON Web Keys (RFC 7517, RFC 7518, RFC 8037).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::{KeyAlgorithm, KeyProblem, PublicKey};

/// The members of a key that matter here. Unknown ones are ignored, as RFC 7517 requires; a known one that is given
/// twice is malformed.
#[derive(Debug, Deserialize)]
pub struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// The private members: of curves and RSA, then of RSA, then of shared keys.
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl PublicKey {
    /// Reads the JSON of a key.
    pub fn from_jwk_text(text: &str) -> Result<Self, KeyProblem> {
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| KeyProblem::Malformed)?;
        Self::from_jwk(&jwk)
    }

    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyProblem> {
        let private = [&jwk.d, &jwk.p, &jwk.q, &jwk.dp, &jwk.dq, &jwk.qi, &jwk.oth, &jwk.k];
        if private.iter().any(|member| member.is_some()) {
            return Err(KeyProblem::Private);
        }
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("EC", Some("P-256")) => Self::ec(KeyAlgorithm::P256, &number(&jwk.x)?, &number(&jwk.y)?),
            ("EC", Some("P-384")) => Self::ec(KeyAlgorithm::P384, &number(&jwk.x)?, &number(&jwk.y)?),
            ("OKP", Some("Ed25519")) => Self::ed25519(&number(&jwk.x)?),
            ("RSA", _) => Self::rsa(&number(&jwk.n)?, &number(&jwk.e)?),
            _ => Err(KeyProblem::Type),
        }
    }
}

fn number(member: &Option<String>) -> Result<Vec<u8>, KeyProblem> {
    let text = member.as_ref().ok_or(KeyProblem::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyProblem::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::public_key::testing::TestKey;

    #[test]
    fn a_key_is_the_same_as_jwk_and_as_spki() {
        for key in [TestKey::p256(), TestKey::p384(), TestKey::ed25519()] {
            let read = PublicKey::from_jwk_text(&key.jwk().to_string()).unwrap();
            assert_eq!((&read, read.algorithm()), (&key.public(), key.public().algorithm()));
            assert_eq!(PublicKey::from_spki(read.spki()), Ok(read));
        }
        let rsa = PublicKey::from_jwk_text(include_str!("../../../tests/data/keys/rsa3072.jwk.json")).unwrap();
        assert_eq!(PublicKey::from_spki(rsa.spki()), Ok(rsa));
    }

    #[test]
    fn unsuitable_keys_are_refused() {
        let good = TestKey::p256().jwk();
        let with = |member: &str, value: &str| {
            let mut key = good.clone();
            key[member] = serde_json::from_str(value).unwrap();
            PublicKey::from_jwk_text(&key.to_string())
        };
        assert!(with("kid", "\"unknown members are ignored\"").is_ok());
        for private in ["d", "p", "k", "oth"] {
            assert_eq!(with(private, "\"AA\""), Err(KeyProblem::Private), "{private}");
        }
        for (member, value) in [("crv", "\"secp256k1\""), ("crv", "null"), ("kty", "\"oct\""), ("kty", "\"ec\"")] {
            assert_eq!(with(member, value), Err(KeyProblem::Type), "{member}: {value}");
        }
        for (member, value) in
            [("crv", "\"P-384\""), ("x", "null"), ("x", "\"\""), ("y", "\"AA==\""), ("y", "7"), ("kty", "7")]
        {
            assert_eq!(with(member, value), Err(KeyProblem::Malformed), "{member}: {value}");
        }
        for text in ["", "[]", "{}", "7", r#"{"kty":"EC","kty":"EC"}"#, r#"{"kty":"RSA","n":"AP8","e":"AQAB"}"#] {
            assert_eq!(PublicKey::from_jwk_text(text), Err(KeyProblem::Malformed), "{text}");
        }
        assert_eq!(PublicKey::from_jwk_text(r#"{"kty":"RSA","n":"_w","e":"AQAB"}"#), Err(KeyProblem::Weak));
    }
}
