//! The limit of bodies. Headers are limited for each connection, in `listen`.

use axum::body::Body;
use http::{Request, header::CONTENT_LENGTH};

use super::answer::{Failure, Head};

/// Refuses a body whose declared length is too large, before anything else is spent on the call. Without a declared
/// length it is limited while it is read, by the transcoder. A stream of gRPC messages may have any length; each
/// message is limited when it is decoded.
pub(super) fn check_body(request: &Request<Body>, head: &Head, most: usize) -> Result<(), Failure> {
    let said = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if head.grpc.is_none() && said.is_some_and(|length| length > most as u64) {
        return Err(Failure::Rest(Box::new(transcoder::Failure::too_large(most))));
    }
    Ok(())
}
