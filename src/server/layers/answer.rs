//! Answers that the layers give themselves: on REST in the dialect of the path, on gRPC as a status.

use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use transcoder::{Dialects, Origin, RequestId};

use crate::{
    auth::Surface,
    base::{Error, GrpcForm, Kind},
    server::ops::without_body,
};

/// What an answer needs to know of its request.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Path, without the query.
    pub path: String,
    /// The form of the answer to a gRPC or gRPC-Web request; `None` for REST.
    pub grpc: Option<GrpcForm>,
    /// Id of the request.
    pub request_id: RequestId,
    /// Whether the method is HEAD, whose answers have no body. HTTP/2 does not see to that by itself.
    pub is_head: bool,
}

/// A failure of a layer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Of any call.
    Call(Error),
    /// Of any call, which may be tried again soon.
    Busy(Error),
    /// Of a REST call, with a status of its own.
    Rest(Box<transcoder::Failure>),
}

/// Seconds after which a busy server is worth trying again.
const RETRY_SECONDS: u32 = 1;

impl Head {
    /// The head of a request.
    pub fn of(request: &Request<Body>, request_id: RequestId) -> Self {
        let headers = request.headers();
        let grpc = GrpcForm::of(headers).map(|form| form.of_answer(headers));
        let is_head = request.method() == Method::HEAD;
        Self { path: request.uri().path().to_owned(), grpc, request_id, is_head }
    }
}

/// Answers a failed request.
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

/// Tells browsers to take an answer of REST for what it says that it is, and everybody to keep no answer of a surface: it
/// may hold secrets, or what one caller alone may see. What says itself how it is kept, stays so.
pub(super) fn harden(response: &mut Response<Body>, head: &Head) {
    if head.grpc.is_none() {
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let keeps = [CACHE_CONTROL, ETAG].iter().any(|name| response.headers().contains_key(name));
        if !keeps && Surface::of_path(&head.path).is_some() {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

/// An internal error tells the id under which the log has its cause, and nothing else.
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

/// The name of a gRPC code, as the metrics and the log spell it.
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
