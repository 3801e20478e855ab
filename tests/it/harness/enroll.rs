//! Keys, signing requests and proofs of devices and gateways.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey, pkcs8::EncodePrivateKey as _};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

/// A signing request of a new key, in PEM.
pub fn csr() -> String {
    csr_of(&KeyPair::generate().unwrap())
}

/// A signing request of a key, in PEM. It asks for a name that it must not get.
pub fn csr_of(key: &KeyPair) -> String {
    CertificateParams::new(["evil.example".to_owned()]).unwrap().serialize_request(key).unwrap().pem().unwrap()
}

/// The key of a device or gateway that proves it in each call (RFC 9449).
#[derive(Clone)]
pub struct DpopKey(SigningKey);

impl DpopKey {
    pub fn generate() -> Self {
        Self(SigningKey::from_bytes(&rand::random()))
    }

    /// The private key, in base64url.
    pub fn seed(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_bytes())
    }

    pub fn of_seed(seed: &str) -> Self {
        Self(SigningKey::from_bytes(&URL_SAFE_NO_PAD.decode(seed).unwrap().try_into().unwrap()))
    }

    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes())})
    }

    pub fn csr(&self) -> String {
        csr_of(&KeyPair::try_from(self.0.to_pkcs8_der().unwrap().as_bytes()).unwrap())
    }

    /// The proof of the key in an enrollment with this token.
    pub fn proof_of_token(&self, token: &str, nonce: Option<&str>) -> String {
        let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut claims = json!({"token_sha256": digest});
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        self.sign(json!({"alg": "EdDSA"}), claims)
    }

    /// The proof of a call with a device token.
    pub fn dpop(&self, method: &str, url: &str, token: &str) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk()});
        let (id, now) = (Uuid::new_v4().to_string(), OffsetDateTime::now_utc().unix_timestamp());
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
        self.sign(header, json!({"jti": id, "htm": method, "htu": url, "iat": now, "ath": hash}))
    }

    /// A compact JWS.
    fn sign(&self, header: Value, claims: Value) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).to_bytes());
        format!("{signed}.{signature}")
    }
}
