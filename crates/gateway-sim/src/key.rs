//! The key of a gateway: its signing request, and its proofs of possession.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey, pkcs8::EncodePrivateKey as _};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::Clock;

/// An Ed25519 key. It never leaves the gateway.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// A new key.
    pub fn generate() -> Self {
        Self(SigningKey::from_bytes(&rand::random()))
    }

    /// A signing request (PKCS#10), in PEM. The server decides about names and extensions, so it has none.
    pub fn signing_request(&self) -> Result<String> {
        let key = self.0.to_pkcs8_der().context("cannot encode the key")?;
        let key = KeyPair::try_from(key.as_bytes())?;
        Ok(CertificateParams::default().serialize_request(&key)?.pem()?)
    }

    /// The private key as PKCS#8, for TLS.
    pub fn pkcs8(&self) -> Result<Vec<u8>> {
        Ok(self.0.to_pkcs8_der().context("cannot encode the key")?.as_bytes().to_vec())
    }

    /// The proof of a call with a device token (RFC 9449): a compact JWS over its method, its URL and the token.
    pub fn dpop(&self, method: &str, url: &str, token: &str) -> String {
        self.dpop_at(method, url, token, Clock::default().unix())
    }

    /// The same at this time, in seconds since 1970: that of the server, which refuses others.
    pub fn dpop_at(&self, method: &str, url: &str, token: &str, at: i64) -> String {
        let jwk =
            json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes())});
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk});
        let id = Uuid::new_v4().to_string();
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
        let claims = json!({"jti": id, "htm": method, "htu": url, "iat": at, "ath": hash});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).to_bytes());
        format!("{signed}.{signature}")
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}
