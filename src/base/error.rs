//! The domain error.
//!
//! It has a public part (kind, reason, message, field violations), which callers see in the dialect of their surface,
//! and an inner cause, which only the log has. `Display` never prints the cause.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use tonic::{
    Status,
    metadata::{Ascii, MetadataValue, errors::InvalidMetadataValue},
};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

pub use crate::proto::errors::v1::Reason;

/// The domain of our reasons in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = crate::proto::ERROR_DOMAIN;

/// The metadata, and header, with the id of the operation that a call started.
pub const OPERATION_ID: &str = "operation-id";

/// The challenge for an invalid credential.
const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";
/// The challenges for an invalid token of a device and for an invalid proof (RFC 9449, section 7.1).
const INVALID_DEVICE_TOKEN: &str = "DPoP error=\"invalid_token\"";
const INVALID_PROOF: &str = "DPoP error=\"invalid_dpop_proof\"";

/// A result with the domain error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error: a gRPC code.
pub type Kind = tonic::Code;

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: Kind,
    pub reason: Reason,
    /// The text for the caller: lower case, no full stop, unless a contract fixes the text.
    pub message: Cow<'static, str>,
    /// The invalid fields.
    pub violations: Vec<Violation>,
    /// How long to wait before a retry, if known.
    pub retry_after: Option<Duration>,
    /// The limit that was reached. Boxed, as the operation, because few errors have one.
    pub limit: Option<Box<LimitReached>>,
    /// The operation that the call started. It may continue.
    pub operation: Option<Box<Uuid>>,
    /// The cause, only for the log.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// What is limited, such as `devices`.
    pub resource: &'static str,
    pub limit: u64,
    pub used: u64,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, in proto names.
    pub field: String,
    pub description: String,
}

impl Error {
    pub fn new(kind: Kind, reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
            violations: Vec::new(),
            retry_after: None,
            limit: None,
            operation: None,
            cause: None,
        }
    }

    /// A field of the request breaks a rule.
    pub fn invalid(reason: Reason, field: &str, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        let violation = Violation { field: field.to_owned(), description: message.clone().into_owned() };
        Self { violations: vec![violation], ..Self::new(Kind::InvalidArgument, reason, message) }
    }

    /// The request lacks a field that it must have, in the words of the transcoder, which checks the fields that the
    /// protos require.
    pub fn missing_field(field: &str) -> Self {
        Self { message: format!("missing: {field}").into(), ..Self::invalid(Reason::FieldRequired, field, "required") }
    }

    /// The state of the system does not allow the call.
    pub fn precondition(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::FailedPrecondition, reason, message)
    }

    /// The object does not exist.
    pub fn not_found(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, reason, message)
    }

    /// The name is already in use.
    pub fn exists(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::AlreadyExists, reason, message)
    }

    /// The caller does not have the permission.
    pub fn denied(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::PermissionDenied, reason, message)
    }

    /// The credential is missing or not valid.
    pub fn unauthenticated(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthenticated, reason, message)
    }

    /// The server failed. The caller gets no details; the cause goes to the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(Kind::Internal, Reason::Internal, "internal error") }
    }

    /// Adds how long to wait before a retry.
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// A limit is reached: the call would need more than there may be.
    pub fn limit_reached(reason: Reason, message: impl Into<Cow<'static, str>>, limit: LimitReached) -> Self {
        Self { limit: Some(Box::new(limit)), ..Self::precondition(reason, message) }
    }

    /// Adds the operation that the call started: its id is in the metadata of the status, which are headers over REST.
    pub fn of_operation(self, operation: Uuid) -> Self {
        Self { operation: Some(Box::new(operation)), ..self }
    }

    /// Adds a cause for the log.
    pub fn caused_by(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// The reason as in `google.rpc.ErrorInfo`: without the enum's prefix.
    pub fn reason_name(&self) -> &'static str {
        let name = self.reason.as_str_name();
        name.strip_prefix("REASON_").unwrap_or(name)
    }

    /// The error for gRPC, with `ErrorInfo`, whose metadata has a limit that was reached, `BadRequest` and `RetryInfo`. Drops the cause: log it
    /// first.
    pub fn to_status(&self) -> Status {
        let mut details = ErrorDetails::new();
        let limit = self.limit.as_deref().map(|LimitReached { resource, limit, used }| {
            [("resource", (*resource).to_owned()), ("limit", limit.to_string()), ("used", used.to_string())]
        });
        let metadata: HashMap<_, _> =
            limit.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
        details.set_error_info(self.reason_name(), DOMAIN, metadata);
        for violation in &self.violations {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        let mut status = Status::with_error_details(self.kind, self.message.clone(), details);
        if let Some(challenge) = self.challenge() {
            status.metadata_mut().insert("www-authenticate", MetadataValue::from_static(challenge));
        }
        if let Some(id) = self.operation.as_ref().and_then(|operation| operation_id(**operation).ok()) {
            status.metadata_mut().insert(OPERATION_ID, id);
        }
        status
    }

    /// The challenge of a call with an invalid credential. One without a credential gets a challenge without an error code
    /// (RFC 6750, section 3.1), which the transcoder adds.
    fn challenge(&self) -> Option<&'static str> {
        match self.reason {
            Reason::CredentialsInvalid | Reason::CredentialsExpired | Reason::CredentialsRevoked => Some(INVALID_TOKEN),
            Reason::DeviceTokenInvalid => Some(INVALID_DEVICE_TOKEN),
            Reason::DpopProofInvalid => Some(INVALID_PROOF),
            _ => None,
        }
    }

    /// The same error for another response. The cause stays in this one.
    pub fn again(&self) -> Self {
        Self {
            kind: self.kind,
            reason: self.reason,
            message: self.message.clone(),
            violations: self.violations.clone(),
            retry_after: self.retry_after,
            limit: self.limit.clone(),
            operation: self.operation.clone(),
            cause: None,
        }
    }
}

/// The id of an operation as metadata.
pub fn operation_id(operation: Uuid) -> Result<MetadataValue<Ascii>, InvalidMetadataValue> {
    operation.as_hyphenated().to_string().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_of_a_failed_call_is_in_its_metadata() {
        let error = Error::internal("no").of_operation(Uuid::from_u128(7));
        for error in [error.again(), error] {
            let status = error.to_status();
            let id = status.metadata().get(OPERATION_ID).unwrap().to_str().unwrap().to_owned();
            assert_eq!(id, "00000000-0000-0000-0000-000000000007");
        }
        assert!(Error::internal("no").to_status().metadata().get(OPERATION_ID).is_none());
    }

    #[test]
    fn invalid_and_missing_credentials_have_different_challenges() {
        let challenge = |reason| {
            let status = Error::unauthenticated(reason, "no").to_status();
            status.metadata().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned())
        };
        for bad in [Reason::CredentialsInvalid, Reason::CredentialsExpired, Reason::CredentialsRevoked] {
            assert_eq!(challenge(bad).as_deref(), Some("Bearer error=\"invalid_token\""), "{bad:?}");
        }
        assert_eq!(challenge(Reason::DeviceTokenInvalid).as_deref(), Some("DPoP error=\"invalid_token\""));
        assert_eq!(challenge(Reason::DpopProofInvalid).as_deref(), Some("DPoP error=\"invalid_dpop_proof\""));
        for none in [Reason::CredentialsMissing, Reason::LoginRefused] {
            assert_eq!(challenge(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_status_has_the_limit_that_was_reached() {
        let limit = LimitReached { resource: "devices", limit: 50, used: 51 };
        let error = Error::limit_reached(Reason::EntitlementExceeded, "no", limit);
        let details = error.again().to_status().get_error_details();
        let metadata = &details.error_info().unwrap().metadata;
        assert_eq!(
            (metadata["resource"].as_str(), metadata["limit"].as_str(), metadata["used"].as_str()),
            ("devices", "50", "51")
        );
    }

    #[test]
    fn a_status_has_the_retry_delay() {
        let error = Error::new(Kind::ResourceExhausted, Reason::Overloaded, "too much");
        assert!(error.to_status().get_details_retry_info().is_none());
        let delay = Duration::from_millis(1500);
        let details = error.retry_after(delay).to_status().get_error_details();
        assert_eq!(details.retry_info().and_then(|info| info.retry_delay), Some(delay));
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("OVERLOADED"));
    }
}
