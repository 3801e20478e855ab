//! Responses that the layers give themselves: on REST in the dialect of the path, on gRPC as a status.

use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use transcoder::{Dialects, Origin, RequestId};

use crate::{
    auth::Surface,
    base::{Error, GrpcForm, Kind, error::Reason},
    server::ops::without_body,
};

/// The properties of a request that a response depends on.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Path, without the query.
    pub path: String,
    /// The variant of the response to a gRPC or gRPC-Web request; `None` for REST.
    pub grpc: Option<GrpcForm>,
    pub request_id: RequestId,
    /// Whether the method is HEAD, whose responses have no body. HTTP/2 does not remove it by itself.
    pub is_head: bool,
}

#[derive(Debug)]
pub(super) enum Failure {
    /// For any call.
    Call(Error),
    /// For any call, which can be retried soon.
    Busy(Error),
    /// For a REST call, with its own status.
    Rest(Box<transcoder::Failure>),
}

/// Retry-After of a busy server, in seconds.
const RETRY_SECONDS: u32 = 1;

impl Head {
    pub fn of(request: &Request<Body>, request_id: RequestId) -> Self {
        let headers = request.headers();
        let grpc = GrpcForm::of(headers).map(|form| form.of_answer(headers));
        let is_head = request.method() == Method::HEAD;
        Self { path: request.uri().path().to_owned(), grpc, request_id, is_head }
    }
}

/// Responds to a failed request.
pub(super) fn answer(dialects: &Dialects, head: &Head, failure: Failure) -> Response<Body> {
    let busy = matches!(failure, Failure::Busy(_));
    let failure = with_request_id(failure, head);
    let mut response = match (failure, head.grpc) {
        (Failure::Call(error) | Failure::Busy(error), Some(form)) => {
            let mut response = error.to_status().into_http();
            response.headers_mut().insert(CONTENT_TYPE, form.media_type());
            response
        }
        (Failure::Call(error) | Failure::Busy(error), None) => {
            refuse(dialects, head, transcoder::Failure::of_status(Origin::Server, &error.to_status(), &[]))
        }
        (Failure::Rest(failure), _) => refuse(dialects, head, *failure),
    };
    if busy {
        response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS.into());
    }
    if head.is_head { without_body(response) } else { response }
}

/// Adds headers: browsers must not sniff the content type of REST responses, and responses of surfaces must not be
/// stored, because they may contain secrets or data for one caller only. Those with an entity tag, such as signed
/// artifacts, must not be used again before the server was asked whether they are current (RFC 9111, section 5.2.2.4).
/// Responses with their own caching headers keep them.
pub(super) fn harden(response: &mut Response<Body>, head: &Head) {
    if head.grpc.is_none() {
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if !response.headers().contains_key(CACHE_CONTROL) && Surface::of_path(&head.path).is_some() {
            let rule = if response.headers().contains_key(ETAG) { "no-cache" } else { "no-store" };
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(rule));
        }
    }
}

/// An internal error shows only the request id, under which the log has its cause.
fn with_request_id(failure: Failure, head: &Head) -> Failure {
    match failure {
        Failure::Call(error) if error.kind == Kind::Internal => Failure::Call(Error {
            message: format!("internal error; request id {}", head.request_id.0).into(),
            ..error
        }),
        other => other,
    }
}

fn refuse(dialects: &Dialects, head: &Head, failure: transcoder::Failure) -> Response<Body> {
    let failure = transcoder::Failure { request_id: Some(head.request_id.0.clone()), ..failure };
    dialects.refuse(&head.path, failure).map(Body::new)
}

/// The name of a gRPC code in the metrics and the log.
pub(super) fn status_word(kind: Kind) -> &'static str {
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

/// The failure of a call whose body did not come in time.
/// On REST that is the caller's (RFC 9110, section 15.5.9), and no reason for a
/// proxy to try again.
pub(super) fn late(grpc: bool) -> Failure {
    let text = "the body of the request did not arrive in time";
    if grpc {
        return Failure::Call(Error::new(Kind::DeadlineExceeded, Reason::DeadlineExceeded, text));
    }
    let failure = transcoder::Failure::new(Origin::Decode, Kind::DeadlineExceeded, "BODY_LATE", text);
    Failure::Rest(Box::new(failure.with_status(StatusCode::REQUEST_TIMEOUT)))
}
