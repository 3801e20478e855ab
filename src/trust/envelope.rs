//! Signed envelopes: DSSE, version 1.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bundle_verify::Envelope;
use serde_json::json;

use super::key::ArtifactKey;

/// Signs a payload with each of these keys, and returns the envelope in JSON.
pub fn sign<'k>(payload_type: &str, payload: &[u8], keys: impl IntoIterator<Item = &'k ArtifactKey>) -> String {
    let message = Envelope::signed_bytes(payload_type, payload);
    let sign = |key: &ArtifactKey| json!({"keyid": key.id(), "sig": STANDARD.encode(key.sign(&message))});
    let signatures: Vec<_> = keys.into_iter().map(sign).collect();
    json!({"payloadType": payload_type, "payload": STANDARD.encode(payload), "signatures": signatures}).to_string()
}
