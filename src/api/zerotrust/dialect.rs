//! The error dialect of the zero-trust surface: `{"error": "<code>", "detail": "<text>"}`, with the invalid
//! fields, the limit that was reached and the request id where they are known (zero-trust contract, section 2). Clients branch on `error`.

use std::collections::BTreeMap;

use http::StatusCode;
use prost::Message as _;
use serde::Serialize;
use tonic::Code;
use tonic_types::pb;
use transcoder::{Dialect, Failure, Origin, Rendered};

use crate::base::Error;

#[derive(Clone, Copy, Debug, Default)]
pub struct ZeroTrustDialect;

/// The body of an error, in the documented order.
#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// The limit that was reached (contract, section 4.10).
#[derive(Serialize)]
struct Limit {
    resource: String,
    limit: u64,
    used: u64,
}

impl Limit {
    /// That of the service's error, in the metadata of its `ErrorInfo`.
    fn of(failure: &Failure) -> Option<Self> {
        let info = failure.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.ErrorInfo"))?;
        let mut metadata = pb::ErrorInfo::decode(info.value.as_slice()).ok()?.metadata;
        let number = |name: &str| metadata.get(name)?.parse().ok();
        let (limit, used) = (number("limit")?, number("used")?);
        Some(Self { resource: metadata.remove("resource")?, limit, used })
    }
}

impl Dialect for ZeroTrustDialect {
    fn render(&self, failure: &Failure) -> Rendered {
        let status = status(failure);
        let at_fault = status == StatusCode::UNPROCESSABLE_ENTITY && !failure.violations.is_empty();
        let violations = || failure.violations.iter().map(|v| (v.field.as_str(), v.description.as_str()));
        let body = Body {
            error: code(failure, status),
            detail: &failure.message,
            fields: at_fault.then(|| violations().collect()),
            limit: if status == StatusCode::CONFLICT { Limit::of(failure) } else { None },
            request_id: failure.request_id.as_deref(),
        };
        Rendered {
            status,
            // A struct of texts always serializes.
            body: serde_json::to_vec(&body).unwrap_or_default(),
            ..Rendered::json(failure, &serde_json::Value::Null)
        }
    }
}

/// Malformed requests are 400 and violated rules 422; a failed precondition is a conflict, unless it concerns
/// the server itself.
fn status(failure: &Failure) -> StatusCode {
    match failure.code {
        Code::InvalidArgument | Code::OutOfRange if failure.status == StatusCode::BAD_REQUEST => {
            let malformed = match failure.reason.as_str() {
                "FIELD_REQUIRED" => false,
                "CURSOR_INVALID" | "IDEMPOTENCY_KEY_INVALID" | "SPC_MALFORMED" => true,
                _ => failure.origin == Origin::Decode,
            };
            if malformed { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY }
        }
        Code::FailedPrecondition if failure.status == StatusCode::BAD_REQUEST => StatusCode::CONFLICT,
        _ => failure.status,
    }
}

/// The code of an error in a response that has several outcomes.
pub(super) fn code_of(error: &Error) -> &'static str {
    let failure = Failure::new(Origin::Service, error.kind, error.reason_name(), "");
    code(&failure, status(&failure))
}

/// The code of a status (zero-trust contract, sections 1 and 2).
fn code(failure: &Failure, status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        409 if matches!(failure.reason.as_str(), "ENTITLEMENT_EXCEEDED" | "TENANT_LIMIT_REACHED") => {
            "entitlement_exceeded"
        }
        409 => "conflict",
        413 => "payload_too_large",
        415 => "unsupported_media_type",
        422 => "validation_error",
        429 => "rate_limited",
        503 => "not_ready",
        500.. => "internal_error",
        _ => "bad_request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(failure: &Failure) -> (u16, String) {
        let rendered = ZeroTrustDialect.render(failure);
        (rendered.status.as_u16(), String::from_utf8(rendered.body).unwrap())
    }

    fn word(origin: Origin, code: Code, reason: &str) -> (u16, String) {
        let (status, body) = rendered(&Failure::new(origin, code, reason, "no"));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        (status, body["error"].as_str().unwrap().to_owned())
    }

    #[test]
    fn malformed_is_400_and_a_violated_rule_422() {
        let is = |status, word: &str| (status, word.to_owned());
        use Code::InvalidArgument;
        assert_eq!(word(Origin::Decode, InvalidArgument, "JSON_MALFORMED"), is(400, "bad_request"));
        assert_eq!(word(Origin::Decode, InvalidArgument, "FIELD_UNKNOWN"), is(400, "bad_request"));
        assert_eq!(word(Origin::Decode, InvalidArgument, "FIELD_REQUIRED"), is(422, "validation_error"));
        assert_eq!(word(Origin::Guard, InvalidArgument, "ACTION_UNKNOWN"), is(422, "validation_error"));
        assert_eq!(word(Origin::Guard, InvalidArgument, "IDEMPOTENCY_KEY_INVALID"), is(400, "bad_request"));
        assert_eq!(word(Origin::Service, InvalidArgument, "EMAIL_INVALID"), is(422, "validation_error"));
        assert_eq!(word(Origin::Service, InvalidArgument, "CURSOR_INVALID"), is(400, "bad_request"));
        assert_eq!(word(Origin::Service, InvalidArgument, "SPC_MALFORMED"), is(400, "bad_request"));
    }

    #[test]
    fn every_other_status_has_its_code() {
        for (code, reason, status, error) in [
            (Code::Unauthenticated, "", 401, "unauthorized"),
            (Code::PermissionDenied, "", 403, "forbidden"),
            (Code::NotFound, "", 404, "not_found"),
            (Code::AlreadyExists, "EMAIL_EXISTS", 409, "conflict"),
            (Code::Aborted, "VERSION_STALE", 409, "conflict"),
            (Code::FailedPrecondition, "LAST_ADMIN", 409, "conflict"),
            (Code::FailedPrecondition, "TENANT_LIMIT_REACHED", 409, "entitlement_exceeded"),
            (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS", 429, "rate_limited"),
            (Code::Internal, "INTERNAL", 500, "internal_error"),
            (Code::Unavailable, "DATABASE_UNAVAILABLE", 503, "not_ready"),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", 504, "internal_error"),
        ] {
            assert_eq!(word(Origin::Service, code, reason), (status, error.to_owned()), "{code:?} {reason}");
        }
        let failures = [
            (Failure::method_not_allowed("GET".to_owned()), (405, "method_not_allowed")),
            (Failure::too_large(1), (413, "payload_too_large")),
            (Failure::media_type(), (415, "unsupported_media_type")),
        ];
        for (failure, (status, error)) in failures {
            let (found, body) = rendered(&failure);
            assert_eq!(found, status);
            assert!(body.starts_with(&format!("{{\"error\":\"{error}\",\"detail\":")), "{body}");
        }
    }

    #[test]
    fn the_invalid_fields_are_named() {
        let (field, description) = ("email".to_owned(), "no address".to_owned());
        let mut failure = Failure::new(Origin::Service, Code::InvalidArgument, "EMAIL_INVALID", "no address");
        failure.violations = vec![transcoder::Violation { field, part: None, description }];
        failure.request_id = Some("r1".to_owned());
        let body =
            r#"{"error":"validation_error","detail":"no address","fields":{"email":"no address"},"request_id":"r1"}"#;
        assert_eq!(rendered(&failure), (422, body.to_owned()));
    }
}
