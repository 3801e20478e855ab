//! Errors of requests to other systems, with our texts.

use http::StatusCode;

use crate::base::{Error, Kind, error::Reason};

/// The error of a library. Only for the log.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request to another system failed.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The URL cannot be requested.
    #[error("{0}")]
    Url(&'static str),
    /// All addresses of the host are forbidden by the policy.
    #[error("the address of the host is not allowed")]
    NotAllowed,
    /// The host has no address, or none accepts a connection.
    #[error("the host cannot be reached")]
    Unreachable(#[source] Cause),
    /// A time limit was exceeded.
    #[error("the host did not respond in time")]
    Timeout,
    /// The certificate is not trusted, or the handshake failed.
    #[error("cannot establish a secure connection to the host")]
    Tls(#[source] Cause),
    /// The response is not HTTP, or is incomplete.
    #[error("the response of the host is not valid HTTP")]
    Protocol(#[source] Cause),
    /// The status is not a success.
    #[error("the host responded with status {}", .0.as_u16())]
    Status(StatusCode),
    /// The response is larger than this many bytes.
    #[error("the response of the host is larger than {0} bytes")]
    TooLarge(usize),
    /// A bug: the request was made inside a write, where only the transaction may be awaited.
    #[error("internal error")]
    InWrite,
}

impl EgressError {
    pub(super) fn unreachable(cause: impl Into<Cause>) -> Self {
        Self::Unreachable(cause.into())
    }

    pub(super) fn tls(cause: impl Into<Cause>) -> Self {
        Self::Tls(cause.into())
    }

    pub(super) fn protocol(cause: impl Into<Cause>) -> Self {
        Self::Protocol(cause.into())
    }
}

impl From<EgressError> for Error {
    /// Transient errors are UNAVAILABLE or DEADLINE_EXCEEDED, which operations retry.
    fn from(error: EgressError) -> Self {
        let message = error.to_string();
        let kind = match &error {
            EgressError::InWrite => return Self::internal(error),
            EgressError::Url(_) => Kind::InvalidArgument,
            EgressError::NotAllowed | EgressError::Tls(_) | EgressError::TooLarge(_) => Kind::FailedPrecondition,
            EgressError::Timeout => Kind::DeadlineExceeded,
            EgressError::Unreachable(_) | EgressError::Protocol(_) => Kind::Unavailable,
            EgressError::Status(status) if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS => {
                Kind::Unavailable
            }
            EgressError::Status(_) => Kind::FailedPrecondition,
        };
        Self::new(kind, Reason::EgressFailed, message).caused_by(error)
    }
}
