//! Envelopes: DSSE, version 1 (<https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>).

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Refusal, strict};

/// A payload with its signatures. Nothing of it is trusted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The media type of the payload.
    pub payload_type: String,
    /// The exact bytes that were signed.
    pub payload: Vec<u8>,
    /// The signatures.
    pub signatures: Vec<Signature>,
}

/// A signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The id of the key ([`key_id`](crate::key_id)).
    pub key_id: String,
    /// The signature of [`Envelope::signed_bytes`].
    pub bytes: Vec<u8>,
}

/// The form of an envelope in JSON.
#[derive(Deserialize, Serialize)]
struct Wire {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Deserialize, Serialize)]
struct WireSignature {
    keyid: String,
    sig: String,
}

/// Maximum number of signatures.
const MOST_SIGNATURES: usize = 16;

impl Envelope {
    /// Parses an envelope of at most `limit` bytes.
    pub fn parse(bytes: &[u8], limit: usize) -> Result<Self, Refusal> {
        if bytes.len() > limit {
            return Err(Refusal::TooLarge);
        }
        let wire: Wire = strict::parse(bytes).map_err(|_| Refusal::Malformed)?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| Refusal::Malformed);
        let signature = |wire: &WireSignature| Ok(Signature { key_id: wire.keyid.clone(), bytes: decode(&wire.sig)? });
        if wire.signatures.is_empty() || wire.signatures.len() > MOST_SIGNATURES {
            return Err(Refusal::Malformed);
        }
        let signatures = wire.signatures.iter().map(signature).collect::<Result<_, _>>()?;
        Ok(Self { payload: decode(&wire.payload)?, payload_type: wire.payload_type, signatures })
    }

    /// The envelope as JSON.
    pub fn to_json(&self) -> String {
        let signature = |signature: &Signature| WireSignature {
            keyid: signature.key_id.clone(),
            sig: STANDARD.encode(&signature.bytes),
        };
        let wire = Wire {
            payload_type: self.payload_type.clone(),
            payload: STANDARD.encode(&self.payload),
            signatures: self.signatures.iter().map(signature).collect(),
        };
        // Three texts and a list of texts can always be written.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// What is signed: the pre-authentication encoding of type and payload.
    pub fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
        let mut signed = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
        signed.extend_from_slice(payload);
        signed
    }
}

/// The digest of a payload, which is also its entity tag: `sha256:` and 64 hex digits.
pub fn digest(payload: &[u8]) -> String {
    let mut text = String::from("sha256:");
    hex(&mut text, &Sha256::digest(payload));
    text
}

pub(crate) fn hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        // The example of the specification.
        let signed = Envelope::signed_bytes("http://example.com/HelloWorld", b"hello world");
        assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn an_envelope_is_parsed_strictly() {
        let signature = Signature { key_id: "k".into(), bytes: [7; 64].into() };
        let envelope = Envelope { payload_type: "t".into(), payload: b"{}".into(), signatures: [signature].into() };
        let text = envelope.to_json();
        assert_eq!(Envelope::parse(text.as_bytes(), 1 << 20), Ok(envelope));
        assert_eq!(Envelope::parse(text.as_bytes(), text.len() - 1), Err(Refusal::TooLarge));
        for bad in [
            "",
            "[]",
            r#"{"payloadType":"t","payload":"e30="}"#,
            r#"{"payloadType":"t","payload":"e30=","signatures":[]}"#,
            r#"{"payloadType":"t","payload":"e30","signatures":[{"keyid":"k","sig":"AAAA"}]}"#,
            r#"{"payloadType":"t","payload":"e30=","payload":"e30=","signatures":[{"keyid":"k","sig":"AAAA"}]}"#,
        ] {
            assert_eq!(Envelope::parse(bad.as_bytes(), 1 << 20), Err(Refusal::Malformed), "{bad}");
        }
    }
}
