//! Compact JWS (RFC 7515, section 7.1), signed with Ed25519 (RFC 8037), for what is carried in headers.

use alloc::{string::String, vec::Vec};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{AnchorSet, KeyUse, Refusal, strict};

/// Maximum size of a JWS.
const LIMIT: usize = 16 << 10;

/// A parsed JWS. Nothing of it is trusted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compact<'t> {
    /// The id of its key.
    pub key_id: String,
    /// What is signed.
    signed: &'t str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The header. A header with critical extensions is refused (RFC 7515, section 4.1.11).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

impl<'t> Compact<'t> {
    /// Parses a JWS of this `typ`.
    pub fn parse(text: &'t str, typ: &str) -> Result<Self, Refusal> {
        if text.len() > LIMIT {
            return Err(Refusal::TooLarge);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
        let header: Header = strict::parse(&decode(header)?).map_err(|_| Refusal::Malformed)?;
        if header.alg != "EdDSA" || header.typ != typ {
            return Err(Refusal::WrongType);
        }
        Ok(Self { key_id: header.kid, signed, payload: decode(payload)?, signature: decode(signature)? })
    }

    /// The claims, if the signature is by a key for this use that is valid at this time.
    pub fn claims<T: DeserializeOwned>(&self, anchors: &AnchorSet, key_use: KeyUse, now: i64) -> Result<T, Refusal> {
        anchors.check_signature(&self.key_id, self.signed.as_bytes(), &self.signature, key_use, now)?;
        strict::parse(&self.payload)
    }
}

/// The confirmation of a key (RFC 7800): its thumbprint (RFC 7638).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Confirmation {
    /// The thumbprint, in base64url.
    pub jkt: String,
}
