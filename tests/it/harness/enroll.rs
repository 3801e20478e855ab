//! Keys and signing requests of devices and gateways.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A signing request of a new key, in PEM.
pub fn csr() -> String {
    csr_of(&KeyPair::generate().unwrap())
}

/// A signing request of a key, in PEM. It asks for a name that it must not get.
pub fn csr_of(key: &KeyPair) -> String {
    CertificateParams::new(["evil.example".to_owned()]).unwrap().serialize_request(key).unwrap().pem().unwrap()
}

/// A new key as a JWK, and its proof for an enrollment token.
pub fn proof(token: &str, nonce: Option<&str>) -> (Value, String) {
    let key = SigningKey::from_bytes(&rand::random());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes())});
    let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "EdDSA"})), part(json!({"nonce": nonce, "token_sha256": digest})));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    (jwk, format!("{signed}.{signature}"))
}
