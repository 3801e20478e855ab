//! Messages that cannot be read are refused in our own words. What a library says of them, and as which status, is its
//! own affair.

use http::{HeaderValue, Response, header::CONTENT_TYPE};
use tonic::body::Body;

use crate::base::{Error, Kind, error::Reason};

/// Replaces an answer that comes from no service of ours but from the decoding of its message. Ours carry details, which
/// libraries leave out.
pub(super) fn reword(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    let status = headers.get("grpc-status").map(|value| Kind::from_bytes(value.as_bytes()));
    let of_decoder = matches!(status, Some(Kind::Internal | Kind::InvalidArgument));
    if !of_decoder || headers.contains_key("grpc-status-details-bin") {
        return response;
    }
    let content_type = headers.get(CONTENT_TYPE).cloned();
    let error = Error::new(Kind::InvalidArgument, Reason::InvalidArgument, "malformed message");
    let mut response = error.to_status().into_http();
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn message(status: &Status) -> String {
        let response = reword(status.clone().into_http());
        response.headers()["grpc-message"].to_str().unwrap().to_owned()
    }

    #[test]
    fn words_of_libraries_are_replaced_and_ours_are_kept() {
        assert_eq!(message(&Status::internal("tonic-web: Invalid symbol 0, offset 0.")), "malformed%20message");
        assert_eq!(message(&Status::not_found("service")), "service");
        let ours = Error::new(Kind::InvalidArgument, Reason::InvalidArgument, "ours").to_status();
        assert_eq!(message(&ours), "ours");
    }
}
