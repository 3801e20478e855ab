//! The error dialect of Google's API design, AIP-193: `{"error": {"code", "status", "message", "details"}}`.

mod details;

use serde_json::{Value, json};
use tonic::Code;

use crate::{
    dialect::{Dialect, Rendered},
    failure::Failure,
};

/// AIP-193, for paths without a dialect of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aip193 {
    /// The domain of the transcoder's own reasons in `google.rpc.ErrorInfo`; omitted if empty.
    pub domain: &'static str,
}

impl Dialect for Aip193 {
    fn render(&self, failure: &Failure) -> Rendered {
        let mut details = match failure.details.as_slice() {
            [] => own_details(failure, self.domain),
            details => details.iter().map(|detail| details::json(detail, failure.types)).collect(),
        };
        let told = failure.details.iter().any(|detail| details::name(detail) == "google.rpc.RequestInfo");
        if let Some(id) = failure.request_id.as_ref().filter(|_| !told) {
            details.push(json!({"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": id}));
        }
        let error = json!({
            "code": failure.status.as_u16(),
            "status": name(failure.code),
            "message": failure.message,
            "details": details,
        });
        Rendered::json(failure, &json!({"error": error}))
    }
}

/// The details of a failure that did not come from a service, as standard messages.
fn own_details(failure: &Failure, domain: &str) -> Vec<Value> {
    let mut details = Vec::new();
    if !failure.reason.is_empty() {
        let mut info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": failure.reason});
        if !domain.is_empty() {
            info["domain"] = domain.into();
        }
        details.push(info);
    }
    if !failure.violations.is_empty() {
        let violations: Vec<_> =
            failure.violations.iter().map(|v| json!({"field": v.field, "description": v.description})).collect();
        details.push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}));
    }
    if let Some(seconds) = failure.retry_after {
        let delay = format!("{seconds}s");
        details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}));
    }
    details
}

/// The name of a gRPC code.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
