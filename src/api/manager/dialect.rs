//! The error dialect of the manager surface: `{"error": "<short code>", "detail": "<text>"}` (manager contract,
//! decisions). Clients read `error`.

use serde_json::json;
use transcoder::{Dialect, Failure, Rendered};

#[derive(Clone, Copy, Debug, Default)]
pub struct ManagerDialect;

impl Dialect for ManagerDialect {
    fn render(&self, failure: &Failure) -> Rendered {
        Rendered::json(failure, &json!({"error": code(failure), "detail": failure.message}))
    }
}

/// The short codes of the contract (section 1), and others in the same style.
fn code(failure: &Failure) -> &'static str {
    match failure.reason.as_str() {
        "CREDENTIALS_MISSING" => return "missing token",
        "DATABASE_UNAVAILABLE" => return "db",
        "APP_EXISTS" | "PROJECT_EXISTS" | "TENANT_EXISTS" => return "exists",
        "IMAGE_REGISTRY_NOT_ALLOWED" => return "image registry not allowed",
        "TENANT_IN_USE" => return "in use",
        "TENANT_LIMIT_REACHED" => return "limit",
        "USAGE_TIME_REQUIRED" => return "ts required",
        _ => {}
    }
    match failure.status.as_u16() {
        401 => "invalid token",
        403 => "forbidden",
        404 => "not found",
        405 => "method",
        409 => "conflict",
        413 => "too large",
        415 => "content type",
        429 => "too many requests",
        503 => "unavailable",
        504 => "timeout",
        500..600 => "internal",
        _ => "invalid",
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use transcoder::Origin;

    use super::*;

    #[test]
    fn codes_match_the_contract() {
        for (grpc, reason, short) in [
            (Code::Unauthenticated, "CREDENTIALS_MISSING", "missing token"),
            (Code::Unauthenticated, "CREDENTIALS_EXPIRED", "invalid token"),
            (Code::PermissionDenied, "TENANT_FOREIGN", "forbidden"),
            (Code::NotFound, "TENANT_NOT_FOUND", "not found"),
            (Code::InvalidArgument, "FIELD_REQUIRED", "invalid"),
            (Code::InvalidArgument, "IMAGE_REGISTRY_NOT_ALLOWED", "image registry not allowed"),
            (Code::AlreadyExists, "PROJECT_EXISTS", "exists"),
            (Code::Unavailable, "DATABASE_UNAVAILABLE", "db"),
            (Code::Internal, "INTERNAL", "internal"),
            (Code::Aborted, "", "conflict"),
        ] {
            assert_eq!(code(&Failure::new(Origin::Service, grpc, reason, "")), short, "{reason}");
        }
        assert_eq!(code(&Failure::method_not_allowed("GET".to_owned())), "method");
    }
}
