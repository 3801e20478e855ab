//! Why a request to another system failed, in our words.

use http::StatusCode;

use crate::base::{Error, Kind, error::Reason};

/// The cause of a failure of a library. For the log only.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request to another system failed.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The URL cannot be requested.
    #[error("{0}")]
    Url(&'static str),
    /// All addresses of the host are in networks that must not be reached.
    #[error("the address of the host is not allowed")]
    NotAllowed,
    /// There is no address, or nothing accepts a connection there.
    #[error("the host cannot be reached")]
    Unreachable(#[source] Cause),
    /// The other side was too slow.
    #[error("the host did not answer in time")]
    Timeout,
    /// The certificate is not trusted, or the handshake failed.
    #[error("a secure connection to the host cannot be made")]
    Tls(#[source] Cause),
    /// What came is not HTTP, or ended too early.
    #[error("the host did not answer with a valid HTTP response")]
    Protocol(#[source] Cause),
    /// The status is not a success.
    #[error("the host answered with the status {}", .0.as_u16())]
    Status(StatusCode),
    /// The response is larger than this many bytes.
    #[error("the response of the host is larger than {0} bytes")]
    TooLarge(usize),
    /// The request was made inside a write, where nothing but the transaction may be awaited. A bug.
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
    /// What may pass is UNAVAILABLE or DEADLINE_EXCEEDED, so that an operation tries it again.
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
