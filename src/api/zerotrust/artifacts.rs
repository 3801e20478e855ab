//! Signed artifacts in responses.

use bundle_verify::Envelope;

use crate::{
    base::{Error, Result},
    proto::zerotrust::v1::{EnvelopeSignature, SignedEnvelope},
};

/// An envelope that we signed.
pub(super) fn envelope(stored: impl AsRef<[u8]>) -> Result<SignedEnvelope> {
    let envelope = Envelope::parse(stored.as_ref(), usize::MAX)
        .map_err(|refusal| Error::internal(format!("a stored envelope is {}", refusal.code())))?;
    let signatures = envelope.signatures.into_iter();
    Ok(SignedEnvelope {
        payload_type: envelope.payload_type,
        payload: envelope.payload,
        signatures: signatures.map(|signed| EnvelopeSignature { keyid: signed.key_id, sig: signed.bytes }).collect(),
    })
}
