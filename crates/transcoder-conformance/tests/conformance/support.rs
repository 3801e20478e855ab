//! What the tests share: calls of the REST service, and the tables.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::ServiceExt as _;
use transcoder::Rest;

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it has none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The text of the error.
    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The field of the first violation.
    pub fn violation(&self) -> Option<String> {
        let details = &self.json()["error"]["details"];
        let bad = details.as_array()?.iter().find_map(|detail| detail.get("fieldViolations"))?;
        Some(bad[0]["field"].as_str()?.to_owned())
    }
}

/// Calls the service. A body is sent as JSON.
pub async fn call(rest: &Rest, method: &str, uri: &str, body: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = Full::new(Bytes::from(body.unwrap_or_default().to_owned()));
    send(rest, request.body(body).unwrap()).await
}

/// Sends a request of any form.
pub async fn send<B>(rest: &Rest, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = rest.clone().oneshot(request).await.unwrap().into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// Fails with every case that went wrong.
pub fn report(failures: Vec<String>, cases: usize) {
    assert!(cases > 0);
    assert!(failures.is_empty(), "{} of {cases} cases:\n{}", failures.len(), failures.join("\n"));
}

/// The list of a table.
pub fn list<'t>(table: &'t Value, name: &str) -> &'t [Value] {
    table[name].as_array().unwrap()
}

/// The text of a member; empty if it has none.
pub fn text<'t>(case: &'t Value, name: &str) -> &'t str {
    case[name].as_str().unwrap_or_default()
}
