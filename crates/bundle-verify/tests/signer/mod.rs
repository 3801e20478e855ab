//! Signs artifacts with fixed keys.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bundle_verify::{Envelope, Signature, key_id, spki};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

/// A key whose secret is one byte, 32 times.
#[derive(Clone, Copy)]
pub struct Key(pub u8);

impl Key {
    fn signing(self) -> SigningKey {
        SigningKey::from_bytes(&[self.0; 32])
    }

    pub fn spki(self) -> Vec<u8> {
        spki(self.signing().verifying_key().as_bytes())
    }

    pub fn id(self) -> String {
        key_id(&self.spki())
    }

    /// The key in an anchor set, valid for the year 2026.
    pub fn anchor(self, key_use: &str, state: &str) -> Value {
        json!({
            "id": self.id(), "use": key_use, "alg": "EdDSA", "public_key": STANDARD.encode(self.spki()),
            "not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z", "state": state,
        })
    }
}

/// An envelope of these bytes.
pub fn envelope_of(payload_type: &str, payload: &[u8], keys: &[Key]) -> String {
    let signed = Envelope::signed_bytes(payload_type, payload);
    let signature = |key: &Key| Signature { key_id: key.id(), bytes: key.signing().sign(&signed).to_bytes().into() };
    let signatures = keys.iter().map(signature).collect();
    Envelope { payload_type: payload_type.to_owned(), payload: payload.to_owned(), signatures }.to_json()
}

/// An envelope of a payload of this name.
pub fn envelope(name: &str, payload: &Value, keys: &[Key]) -> String {
    envelope_of(&format!("application/vnd.tenantry.{name}+json"), payload.to_string().as_bytes(), keys)
}

/// A compact JWS.
pub fn jws(header: &Value, claims: &Value, key: Key) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = key.signing().sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
