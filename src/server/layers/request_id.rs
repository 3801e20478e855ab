//! Every request has an id: that of the caller, if it is valid, otherwise a new one. Every response has it.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response};
use transcoder::RequestId;

/// The header, in requests and responses.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of a caller's id.
const MAX_LEN: usize = 128;

/// Determines the id of a request and stores it in its extensions.
pub(super) fn assign(request: &mut Request<Body>) -> RequestId {
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).filter(|id| is_sane(id));
    let id = match given {
        Some(id) => RequestId(id.to_owned()),
        None => RequestId(uuid::Uuid::now_v7().simple().to_string()),
    };
    request.extensions_mut().insert(id.clone());
    id
}

/// Adds the id to the response.
pub(super) fn echo(response: &mut Response<Body>, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
}

/// Whether an id is allowed in a log line and a header: no spaces, quotes or control characters.
fn is_sane(id: &str) -> bool {
    (1..=MAX_LEN).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
}
