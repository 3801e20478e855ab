//! Answers that the layers give themselves, in the dialect of the path.

use std::sync::Arc;

use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::json;

use crate::{
    auth::RequestId,
    base::{Error, Kind, error::DOMAIN},
};

/// What an answer needs to know of its request.
#[derive(Clone, Debug)]
pub struct Head {
    /// Method.
    pub method: Method,
    /// Path, without the query.
    pub path: String,
    /// Content type of a gRPC or gRPC-Web request; `None` for REST.
    pub grpc: Option<HeaderValue>,
    /// Id of the request.
    pub request_id: RequestId,
}

/// A failure of a layer.
#[derive(Debug)]
pub struct Failure {
    /// What is told.
    pub error: Error,
    /// Status on REST.
    pub status: StatusCode,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u32>,
}

/// Writes a failure as a REST answer, in the dialect of the path.
pub trait Dialects: Send + Sync + 'static {
    /// The answer.
    fn render(&self, head: &Head, failure: &Failure) -> Response<Body>;
}

/// The dialects of all paths.
pub type Answers = Arc<dyn Dialects>;

/// Answers a failed request: gRPC with a status in the headers, REST in its dialect.
pub fn answer(answers: &Answers, head: &Head, failure: &Failure) -> Response<Body> {
    let mut response = match &head.grpc {
        Some(content_type) => {
            let mut response = failure.error.to_status().into_http();
            response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
            response
        }
        None => answers.render(head, failure),
    };
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

impl Head {
    /// The head of a request.
    pub fn of(request: &Request<Body>, request_id: RequestId) -> Self {
        let content_type = request.headers().get(CONTENT_TYPE);
        let grpc = content_type.filter(|value| value.as_bytes().starts_with(b"application/grpc"));
        Self { method: request.method().clone(), path: request.uri().path().to_owned(), grpc: grpc.cloned(), request_id }
    }
}

impl Failure {
    /// A failure with its REST status.
    pub fn new(status: StatusCode, error: Error) -> Self {
        Self { error, status, retry_after: None }
    }
}

/// The answer of paths that belong to no documented API: AIP-193.
pub struct Aip193;

impl Dialects for Aip193 {
    fn render(&self, head: &Head, failure: &Failure) -> Response<Body> {
        let error = &failure.error;
        let body = json!({"error": {
            "code": failure.status.as_u16(),
            "status": status_word(error.kind),
            "message": error.message,
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.reason_name(), "domain": DOMAIN},
                {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": head.request_id.to_string()},
            ],
        }});
        json_response(failure.status, body.to_string())
    }
}

/// A JSON answer.
pub fn json_response(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The name of a gRPC code, as AIP-193 and the metrics spell it.
pub fn status_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Ok => "OK",
        Kind::Cancelled => "CANCELLED",
        Kind::Unknown => "UNKNOWN",
        Kind::InvalidArgument => "INVALID_ARGUMENT",
        Kind::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Kind::NotFound => "NOT_FOUND",
        Kind::AlreadyExists => "ALREADY_EXISTS",
        Kind::PermissionDenied => "PERMISSION_DENIED",
        Kind::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Kind::FailedPrecondition => "FAILED_PRECONDITION",
        Kind::Aborted => "ABORTED",
        Kind::OutOfRange => "OUT_OF_RANGE",
        Kind::Unimplemented => "UNIMPLEMENTED",
        Kind::Internal => "INTERNAL",
        Kind::Unavailable => "UNAVAILABLE",
        Kind::DataLoss => "DATA_LOSS",
        Kind::Unauthenticated => "UNAUTHENTICATED",
    }
}
