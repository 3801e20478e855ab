//! Why a REST call failed.

use http::{HeaderMap, StatusCode};
use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};

use crate::{
    json::{DecodeError, DecodeErrorKind, RequestPart, Types},
    metadata::headers_of,
};

/// A failed call, as a [`Dialect`](crate::Dialect) sees it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where it happened.
    pub origin: Origin,
    /// HTTP status: that of the gRPC code, unless the method's options map the reason to another one.
    pub status: StatusCode,
    /// gRPC code.
    pub code: Code,
    /// Machine reason in upper snake case; empty if none is known.
    pub reason: String,
    /// The public text.
    pub message: String,
    /// The invalid fields.
    pub violations: Vec<Violation>,
    /// The decoding error, if the request could not be decoded.
    pub decode_error: Option<DecodeError>,
    /// The rule takes a body and the request had none: the cause of `FIELD_REQUIRED` or `BODY_REQUIRED`.
    pub body_missing: bool,
    /// The methods of the path, for 405.
    pub allow: Option<String>,
    /// Seconds until a retry makes sense, for Retry-After.
    pub retry_after: Option<u64>,
    /// Id of the request, if the server assigns ids.
    pub request_id: Option<String>,
    /// The typed details of the service's status (google.rpc.Status), unchanged.
    pub details: Vec<Any>,
    /// The messages of the surface, to render details of its own types.
    pub types: Types,
    /// Headers that the service set on its error.
    pub headers: HeaderMap,
}

/// Where a failure happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No rule matches the path or the method.
    Routing,
    /// The guard refused the caller.
    Guard,
    /// The request could not be decoded.
    Decode,
    /// The service returned an error.
    Service,
    /// The server itself: overload, panic or timeout.
    Server,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field: in the names of the request for decoding errors, in proto names for the guard and the
    /// service.
    pub field: String,
    /// The part of the request that holds the field, if a rule is known.
    pub part: Option<RequestPart>,
    /// What is wrong with it.
    pub description: String,
}

/// The id of a request; a layer of the server puts it into the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

impl Failure {
    /// A failure with a code and a text.
    pub fn new(origin: Origin, code: Code, reason: &str, message: impl Into<String>) -> Self {
        Self {
            origin,
            status: status_of(code),
            code,
            reason: reason.to_owned(),
            message: message.into(),
            violations: Vec::new(),
            decode_error: None,
            body_missing: false,
            allow: None,
            retry_after: None,
            request_id: None,
            details: Vec::new(),
            types: Types::NONE,
            headers: HeaderMap::new(),
        }
    }

    /// The same failure with another HTTP status.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// No rule matches the path.
    pub fn not_found() -> Self {
        Self::new(Origin::Routing, Code::NotFound, "PATH_NOT_FOUND", "no such path")
    }

    /// The path has no rule for the method.
    pub fn method_not_allowed(allow: String) -> Self {
        let failure = Self::new(Origin::Routing, Code::Unimplemented, "METHOD_NOT_ALLOWED", "method not allowed");
        Self { allow: Some(allow), ..failure.with_status(StatusCode::METHOD_NOT_ALLOWED) }
    }

    /// The body is larger than the limit.
    pub fn too_large(limit: usize) -> Self {
        let text = format!("the body is larger than {limit} bytes");
        Self::new(Origin::Decode, Code::ResourceExhausted, "BODY_TOO_LARGE", text)
            .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// The reason of a body that is not declared as JSON.
    pub(crate) const MEDIA_TYPE: &'static str = "MEDIA_TYPE_UNSUPPORTED";

    /// The body is not declared as JSON.
    pub fn media_type() -> Self {
        let text = "the body must be JSON: send Content-Type: application/json";
        Self::new(Origin::Decode, Code::InvalidArgument, Self::MEDIA_TYPE, text)
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }

    /// The reason of a body in an unsupported content coding.
    pub(crate) const CONTENT_ENCODING: &'static str = "CONTENT_ENCODING_UNSUPPORTED";

    /// The body is in an unsupported content coding.
    pub fn content_encoding() -> Self {
        let text = "the body must not be compressed: send no Content-Encoding";
        Self::new(Origin::Decode, Code::InvalidArgument, Self::CONTENT_ENCODING, text)
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }

    /// The request has no body, and must have one.
    pub fn body_required() -> Self {
        let failure = Self::new(Origin::Decode, Code::InvalidArgument, "BODY_REQUIRED", "the request has no body");
        Self { body_missing: true, ..failure }
    }

    /// The request cannot be decoded.
    pub fn decode(error: DecodeError) -> Self {
        let reason = match error.kind {
            DecodeErrorKind::Syntax => "JSON_MALFORMED",
            DecodeErrorKind::Unknown => "FIELD_UNKNOWN",
            DecodeErrorKind::Encoding => "ENCODING_MALFORMED",
            DecodeErrorKind::Conflict => "FIELD_CONFLICT",
            _ => "FIELD_MALFORMED",
        };
        let (field, part) = (error.path(), Some(error.part));
        let violation = Violation { field, part, description: error.message.clone() };
        Self {
            violations: if error.steps.is_empty() { Vec::new() } else { vec![violation] },
            ..Self::new(Origin::Decode, Code::InvalidArgument, reason, error.to_string())
        }
        .with_decode_error(error)
    }

    /// A status of the guard or the service, with its typed details.
    pub fn of_status(origin: Origin, status: &Status, by_reason: &[(&str, u16)]) -> Self {
        // A service that fails with the code OK has still failed.
        let code = if status.code() == Code::Ok { Code::Unknown } else { status.code() };
        let mut failure = Self::new(origin, code, "", status.message());
        if !status.details().is_empty() {
            let details = status.get_error_details();
            if let Some(info) = details.error_info() {
                failure.reason.clone_from(&info.reason);
            }
            let delay = details.retry_info().and_then(|info| info.retry_delay);
            // Whole seconds, rounded up.
            failure.retry_after = delay.map(|delay| delay.as_secs() + u64::from(delay.subsec_nanos() > 0));
            let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
            failure.violations = violations
                .iter()
                .map(|v| Violation { field: v.field.clone(), part: None, description: v.description.clone() })
                .collect();
            let whole = pb::Status::decode(status.details());
            failure.details = whole.map(|whole| whole.details).unwrap_or_default();
        }
        if !status.metadata().is_empty() {
            failure.headers = headers_of(status.metadata().clone());
        }
        failure.by_reason(by_reason)
    }

    /// The same failure with the HTTP status that the method's options give its reason, if any.
    pub(crate) fn by_reason(self, statuses: &[(&str, u16)]) -> Self {
        let status = statuses.iter().find(|(reason, _)| *reason == self.reason).map(|(_, status)| *status);
        match status.and_then(|status| StatusCode::from_u16(status).ok()) {
            Some(status) => self.with_status(status),
            None => self,
        }
    }

    fn with_decode_error(self, error: DecodeError) -> Self {
        Self { decode_error: Some(error), ..self }
    }
}

/// The HTTP status of a gRPC code, as google.rpc.Code has it.
pub fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Aborted | Code::AlreadyExists => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // 499: the convention of proxies for a client that closed the connection.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
