//! The error format of a surface.

use http::{HeaderMap, StatusCode};

use crate::failure::Failure;

/// Renders failures in the error format of a surface.
pub trait Dialect: Send + Sync + 'static {
    /// The response for a failure.
    fn render(&self, failure: &Failure) -> Rendered;
}

/// An error response.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// HTTP status.
    pub status: StatusCode,
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// More headers. Content-Type and the headers of the failure itself (Allow, Retry-After, WWW-Authenticate) are
    /// added if they are missing here.
    pub headers: HeaderMap,
}

impl Rendered {
    /// A JSON body with the failure's own status.
    pub fn json(failure: &Failure, body: &serde_json::Value) -> Self {
        Self {
            status: failure.status,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            headers: HeaderMap::new(),
        }
    }
}
