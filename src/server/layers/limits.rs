//! How long a body may be. Headers are limited where connections are made, in `listen`.

use axum::body::Body;
use http::{Request, StatusCode, header::CONTENT_LENGTH};
use http_body_util::Limited;

use super::answer::{Failure, Head};
use crate::base::{Error, Kind, error::Reason};

/// Refuses a body that says that it is too long, and cuts one that does not say. A stream of gRPC messages may be of any
/// length; there each message is limited, where it is decoded.
pub(super) fn check_body(request: &mut Request<Body>, head: &Head, most: usize) -> Result<(), Failure> {
    if head.grpc.is_some() {
        return Ok(());
    }
    let said = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| length > most as u64) {
        let error = Error::new(Kind::OutOfRange, Reason::InvalidArgument, "the request body is too long");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, error));
    }
    // A body of known length within the limit needs no counting: the connection cuts it at that length.
    if said.is_none() && !http_body::Body::is_end_stream(request.body()) {
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(Limited::new(body, most));
    }
    Ok(())
}
