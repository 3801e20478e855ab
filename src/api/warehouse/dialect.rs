//! The error dialect of the warehouse surface: `{"error": "<code>", "message": "<text>"}` (warehouse contract, section 1).

use std::borrow::Cow;

use serde_json::json;
use transcoder::{Dialect, Failure, Rendered};

#[derive(Clone, Copy, Debug, Default)]
pub struct WarehouseDialect;

/// Codes by reason, where the HTTP status is not specific enough. Clients branch on the codes, so they must not change.
const CODES: &[(&str, &str)] = &[
    ("ADMIN_REQUIRED", "admin_required"),
    ("AUTH_CONFIG_INVALID", "invalid_auth_config"),
    ("AUTH_PROVIDER_UNKNOWN", "invalid_auth_provider"),
    ("BODY_TOO_LARGE", "payload_too_large"),
    ("CREDENTIALS_EMPTY", "invalid_credentials"),
    ("CREDENTIALS_EXPIRED", "expired"),
    ("CREDENTIALS_REVOKED", "revoked"),
    ("CSRF_TOKEN_INVALID", "csrf_token_invalid"),
    ("JSON_MALFORMED", "invalid_json"),
    ("LOGIN_REFUSED", "invalid_credentials"),
    ("ORIGIN_REFUSED", "origin_refused"),
    ("PASSWORD_CHANGE_REQUIRED", "password_change_required"),
    ("PERMISSION_DENIED", "admin_required"),
    ("PLATFORM_REQUIRED", "superuser_required"),
    ("SECOND_FACTOR_INVALID", "mfa_invalid"),
    ("SECOND_FACTOR_REQUIRED", "mfa_required"),
    ("SESSION_MISSING", "no_session"),
    ("SUSPENSION_FOREIGN", "suspended_by_platform"),
    ("TENANT_EXISTS", "exists"),
    ("TENANT_FOREIGN", "tenant_forbidden"),
    ("TENANT_IN_USE", "in_use"),
    ("TENANT_LIMIT_REACHED", "limit_reached"),
    ("TENANT_NAME_INVALID", "invalid_name"),
    ("TENANT_SUSPENDED", "tenant_disabled"),
    ("TOO_MANY_ATTEMPTS", "too_many_attempts"),
];

impl Dialect for WarehouseDialect {
    fn render(&self, failure: &Failure) -> Rendered {
        Rendered::json(failure, &json!({"error": code(failure), "message": message(failure)}))
    }
}

/// The text, with the missing field as this surface spells it.
fn message(failure: &Failure) -> Cow<'_, str> {
    if failure.reason != "FIELD_REQUIRED" {
        return Cow::Borrowed(&failure.message);
    }
    let names: Vec<_> = failure.violations.iter().map(|violation| camel(&violation.field)).collect();
    Cow::Owned(format!("missing: {}", names.join(", ")))
}

/// A proto name in JSON spelling: `auth_provider` is `authProvider`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_ascii_uppercase() + tail
    })
}

fn code(failure: &Failure) -> &'static str {
    let by_reason = CODES.iter().find(|(reason, _)| *reason == failure.reason).map(|(_, code)| *code);
    by_reason.unwrap_or(match failure.status.as_u16() {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        409 => "conflict",
        413 => "payload_too_large",
        415 => "unsupported_media_type",
        429 => "too_many_requests",
        503 => "unavailable",
        504 => "timeout",
        500..600 => "internal_error",
        _ => "invalid",
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tonic::Code;
    use transcoder::{Origin, Violation};

    use super::*;
    use crate::base::error::Reason;

    #[test]
    fn codes_name_reasons_that_exist_or_are_the_transcoders() {
        let transcoders = ["BODY_TOO_LARGE", "JSON_MALFORMED"];
        for (reason, _) in CODES {
            let ours = Reason::from_str_name(&format!("REASON_{reason}")).is_some();
            assert!(ours || transcoders.contains(reason), "{reason}");
        }
        assert!(CODES.is_sorted());
    }

    #[test]
    fn missing_fields_are_named_as_they_are_sent() {
        let field = |field: &str| Violation { field: field.to_owned(), part: None, description: String::new() };
        let failure = Failure::new(Origin::Service, Code::InvalidArgument, "FIELD_REQUIRED", "missing: auth_provider");
        let failure = Failure { violations: vec![field("name"), field("auth_provider")], ..failure };
        assert_eq!(message(&failure), "missing: name, authProvider");
        assert_eq!(camel("a__b_"), "aB");
    }

    #[test]
    fn errors_without_a_code_get_that_of_their_status() {
        let failure = |code, reason: &str| Failure::new(Origin::Service, code, reason, "");
        assert_eq!(code(&failure(Code::Unauthenticated, "CREDENTIALS_INVALID")), "unauthorized");
        assert_eq!(code(&failure(Code::Internal, "INTERNAL")), "internal_error");
        assert_eq!(code(&failure(Code::InvalidArgument, "FIELD_REQUIRED")), "invalid");
        assert_eq!(code(&failure(Code::Unavailable, "").with_status(StatusCode::BAD_GATEWAY)), "internal_error");
    }
}
