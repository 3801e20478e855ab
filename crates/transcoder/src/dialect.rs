//! How a surface says that a call failed.

use http::{HeaderMap, StatusCode};

use crate::failure::Failure;

/// How a surface says that a call failed.
pub trait Dialect: Send + Sync + 'static {
    /// The answer's body and what goes with it.
    fn render(&self, failure: &Failure) -> Rendered;
}

/// An error as it is sent.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// HTTP status.
    pub status: StatusCode,
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// More headers. Content-Type, and those that the failure itself asks for (Allow, Retry-After, WWW-Authenticate),
    /// need not be among them; one that is stands.
    pub headers: HeaderMap,
}

impl Rendered {
    /// A JSON body under the failure's own status.
    pub fn json(failure: &Failure, body: &serde_json::Value) -> Self {
        Self {
            status: failure.status,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            headers: HeaderMap::new(),
        }
    }
}
