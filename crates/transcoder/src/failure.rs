//! Why a REST call failed, and how a surface says so.

use std::{collections::HashMap, sync::Arc};

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::json::{Fault, FaultKind};

/// A failed call, as a [`Dialect`] sees it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where it arose.
    pub origin: Origin,
    /// HTTP status: that of the gRPC code, unless the method's options say otherwise for the reason.
    pub status: StatusCode,
    /// gRPC code.
    pub code: Code,
    /// Machine reason in upper snake case; empty if none is known.
    pub reason: String,
    /// The public text.
    pub message: String,
    /// What is wrong with which field.
    pub violations: Vec<Violation>,
    /// What is wrong with the request's form, where that is the failure.
    pub fault: Option<Fault>,
    /// The methods that the path has, for 405.
    pub allow: Option<String>,
    /// Id of the request, where the server gives one.
    pub request_id: Option<String>,
}

/// Where a failure arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No such path or method.
    Routing,
    /// The guard refused the caller.
    Guard,
    /// The request could not be decoded.
    Decode,
    /// The service answered with an error.
    Service,
    /// The server itself: overload, panic, timeout.
    Server,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// The id of a request; a layer of the server puts it into the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

impl Failure {
    /// A failure of a code and text.
    pub fn new(origin: Origin, code: Code, reason: &str, message: impl Into<String>) -> Self {
        Self {
            origin,
            status: status_of(code),
            code,
            reason: reason.to_owned(),
            message: message.into(),
            violations: Vec::new(),
            fault: None,
            allow: None,
            request_id: None,
        }
    }

    /// The same with another HTTP status.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// No rule has the path.
    pub fn not_found() -> Self {
        Self::new(Origin::Routing, Code::NotFound, "PATH_NOT_FOUND", "no such path")
    }

    /// No rule of the path has the method.
    pub fn method_not_allowed(allow: String) -> Self {
        let failure = Self::new(Origin::Routing, Code::Unimplemented, "METHOD_NOT_ALLOWED", "method not allowed");
        Self { allow: Some(allow), ..failure.with_status(StatusCode::METHOD_NOT_ALLOWED) }
    }

    /// The body is larger than the server takes.
    pub fn too_large(limit: usize) -> Self {
        let text = format!("the body is larger than {limit} bytes");
        Self::new(Origin::Decode, Code::ResourceExhausted, "BODY_TOO_LARGE", text)
            .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// The body is not said to be JSON.
    pub fn media_type() -> Self {
        let text = "the body must be JSON: send Content-Type: application/json";
        Self::new(Origin::Decode, Code::InvalidArgument, "MEDIA_TYPE_UNSUPPORTED", text)
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }

    /// The request's form is wrong.
    pub fn fault(fault: Fault) -> Self {
        let reason = match fault.kind {
            FaultKind::Syntax => "JSON_MALFORMED",
            FaultKind::Unknown => "FIELD_UNKNOWN",
            FaultKind::Encoding => "ENCODING_MALFORMED",
            _ => "FIELD_MALFORMED",
        };
        let violation = Violation { field: fault.path.clone(), description: fault.message.clone() };
        Self {
            violations: if fault.path.is_empty() { Vec::new() } else { vec![violation] },
            fault: Some(fault.clone()),
            ..Self::new(Origin::Decode, Code::InvalidArgument, reason, fault.to_string())
        }
    }

    /// A status of the guard or the service, with its typed details.
    pub fn of_status(origin: Origin, status: &Status, by_reason: &[(&str, u16)]) -> Self {
        let mut failure = Self::new(origin, status.code(), "", status.message());
        if !status.details().is_empty() {
            let details = status.get_error_details();
            if let Some(info) = details.error_info() {
                failure.reason.clone_from(&info.reason);
            }
            let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
            failure.violations = violations
                .iter()
                .map(|v| Violation { field: v.field.clone(), description: v.description.clone() })
                .collect();
        }
        let override_of = by_reason.iter().find(|(reason, _)| *reason == failure.reason);
        if let Some(status) = override_of.and_then(|(_, status)| StatusCode::from_u16(*status).ok()) {
            failure.status = status;
        }
        failure
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
        // 499 is the custom of proxies for a client that went away.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

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
}

impl Rendered {
    /// A JSON body under the failure's own status.
    pub fn json(failure: &Failure, body: &serde_json::Value) -> Self {
        Self { status: failure.status, content_type: "application/json", body: body.to_string().into_bytes() }
    }
}

/// The dialects of a server: by name for a surface's own methods, by the longest prefix for paths that no rule has.
#[derive(Clone)]
pub struct Dialects(Arc<Table>);

struct Table {
    by_name: HashMap<&'static str, Arc<dyn Dialect>>,
    by_prefix: Vec<(&'static str, Arc<dyn Dialect>)>,
    fallback: Arc<dyn Dialect>,
}

impl Dialects {
    /// Dialects with their names and the path prefixes that they rule; AIP-193 rules the rest.
    pub fn new(dialects: impl IntoIterator<Item = (&'static str, &'static [&'static str], Arc<dyn Dialect>)>) -> Self {
        let mut table =
            Table { by_name: HashMap::new(), by_prefix: Vec::new(), fallback: Arc::new(crate::aip193::Aip193) };
        for (name, prefixes, dialect) in dialects {
            table.by_prefix.extend(prefixes.iter().map(|prefix| (*prefix, dialect.clone())));
            table.by_name.insert(name, dialect);
        }
        table.by_prefix.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(Arc::new(table))
    }

    /// The dialect of a name.
    pub fn named(&self, name: &str) -> &dyn Dialect {
        self.0.by_name.get(name).unwrap_or(&self.0.fallback).as_ref()
    }

    /// The dialect that rules a path.
    pub fn of_path(&self, path: &str) -> &dyn Dialect {
        let rules =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let found = self.0.by_prefix.iter().find(|(prefix, _)| rules(prefix));
        found.map_or(&self.0.fallback, |(_, dialect)| dialect).as_ref()
    }
}

impl std::fmt::Debug for Dialects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.by_name.keys()).finish()
    }
}
