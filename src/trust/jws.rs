//! Compact JWS (RFC 7515, section 7.1), for what is carried in headers.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::json;

use super::key::ArtifactKey;
use crate::base::{Error, Result};

/// Signs claims. `typ` is that of the header.
pub fn sign(typ: &str, claims: &impl Serialize, key: &ArtifactKey) -> Result<String> {
    let header = json!({"alg": "EdDSA", "typ": typ, "kid": key.id()}).to_string();
    let claims = serde_json::to_vec(claims).map_err(Error::internal)?;
    let mut text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(text)
}
