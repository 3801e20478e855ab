//! The framing of request bodies (RFC 9112, section 6.1): chunked, or by length. We would ignore another transfer
//! coding, while a proxy in front of us that decodes it would see another message.

use axum::body::Body;
use http::{Request, header::TRANSFER_ENCODING};
use transcoder::Origin;

use super::answer::Failure;
use crate::base::Kind;

/// Refuses a request with an unsupported transfer coding.
pub(super) fn check(request: &Request<Body>) -> Result<(), Failure> {
    let fields = request.headers().get_all(TRANSFER_ENCODING).iter();
    let codings = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty());
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => {
            let text = "the only supported transfer coding is chunked, once";
            let failure = transcoder::Failure::new(Origin::Decode, Kind::Unimplemented, "TRANSFER_CODING", text);
            Err(Failure::Rest(Box::new(failure)))
        }
    }
}
