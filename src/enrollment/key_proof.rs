//! The alternative to a signing request: a public key as a JWK, and a proof that the client has the private one. The
//! proof is a compact JWS over `{nonce, token_sha256}` (zero-trust contract, decisions).

use serde::Deserialize;

use crate::base::{
    Error, Result,
    digest::sha256_hex,
    error::Reason,
    public_key::{Compact, PublicKey},
};

/// The claims of a proof.
#[derive(Deserialize)]
struct Claims {
    /// The nonce of the request; absent if the request has none.
    nonce: Option<String>,
    /// SHA-256 of the enrollment token, in hex.
    token_sha256: String,
}

/// Reads the key, and checks that it signed the nonce and the token of the request.
pub fn read(public_key: &str, proof: &str, nonce: Option<&str>, token: &str) -> Result<PublicKey> {
    let key = PublicKey::from_jwk_text(public_key).map_err(|problem| problem.of_field("public_key"))?;
    let jws = Compact::parse(proof).ok_or_else(|| invalid("the proof must be a compact JWS"))?;
    let claims: Claims = jws.verify(&key).ok_or_else(|| {
        invalid("the proof must be signed by public_key, over a JSON object with nonce and token_sha256")
    })?;
    if claims.nonce.as_deref() != nonce {
        return Err(invalid("the nonce in the proof differs from that of the request"));
    }
    if !claims.token_sha256.eq_ignore_ascii_case(&sha256_hex([token.as_bytes()])) {
        return Err(invalid("token_sha256 in the proof must be the SHA-256 of the token, in hex"));
    }
    Ok(key)
}

fn invalid(message: &'static str) -> Error {
    Error::invalid(Reason::KeyProofInvalid, "proof", message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::public_key::testing::TestKey;

    const TOKEN: &str = "tok_secret";

    fn claims(nonce: &str) -> Value {
        json!({"nonce": nonce, "token_sha256": sha256_hex([TOKEN.as_bytes()])})
    }

    fn refusal(key: &TestKey, proof: &str, nonce: Option<&str>) -> String {
        let error = read(&key.jwk().to_string(), proof, nonce, TOKEN).unwrap_err();
        assert_eq!((error.reason, error.violations[0].field.as_str()), (Reason::KeyProofInvalid, "proof"));
        error.message.into_owned()
    }

    #[test]
    fn a_proof_shows_the_key_of_the_request() {
        for key in [TestKey::p256(), TestKey::p384(), TestKey::ed25519()] {
            let proof = key.jws(&json!({}), &claims("n"));
            assert_eq!(read(&key.jwk().to_string(), &proof, Some("n"), TOKEN).unwrap(), key.public());
        }
        let (key, without) = (TestKey::p256(), json!({"token_sha256": sha256_hex([TOKEN.as_bytes()])}));
        assert!(read(&key.jwk().to_string(), &key.jws(&json!({}), &without), None, TOKEN).is_ok());
    }

    #[test]
    fn other_proofs_are_refused() {
        let key = TestKey::p256();
        let proof = |claims| key.jws(&json!({}), &claims);
        assert!(refusal(&key, "x", Some("n")).contains("compact JWS"));
        assert!(refusal(&key, &TestKey::p256().jws(&json!({}), &claims("n")), Some("n")).contains("signed by"));
        assert!(refusal(&key, &proof(json!({"nonce": "n"})), Some("n")).contains("token_sha256"));
        assert!(refusal(&key, &proof(json!(7)), Some("n")).contains("JSON object"));
        for nonce in [None, Some("m"), Some("")] {
            assert!(refusal(&key, &proof(claims("n")), nonce).contains("nonce"), "{nonce:?}");
        }
        let other = json!({"nonce": "n", "token_sha256": sha256_hex([&b"tok_other"[..]])});
        assert!(refusal(&key, &proof(other), Some("n")).contains("SHA-256 of the token"));
    }

    #[test]
    fn an_unsuitable_key_is_refused() {
        let key = TestKey::p256();
        let proof = key.jws(&json!({}), &claims("n"));
        let error = read(r#"{"kty":"oct","k":"AA"}"#, &proof, Some("n"), TOKEN).unwrap_err();
        assert_eq!((error.reason, error.violations[0].field.as_str()), (Reason::PublicKeyRefused, "public_key"));
    }
}
