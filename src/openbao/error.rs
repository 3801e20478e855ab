//! Errors of calls to OpenBAO, with our texts.

use std::fmt;

use super::call::Call;
use crate::base::{Error, Kind, error::Reason};

pub type Result<T, E = OpenBaoError> = std::result::Result<T, E>;

/// The texts of the server or of a library. Only for the log.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// A call failed.
#[derive(Debug)]
pub struct OpenBaoError {
    pub call: Call,
    pub cause: Cause,
    source: Option<Source>,
}

impl OpenBaoError {
    pub fn new(call: Call, cause: Cause) -> Self {
        Self { call, cause, source: None }
    }

    /// Adds a text for the log.
    pub(super) fn caused_by(self, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Whether the same call may succeed later without a person's help.
    pub fn can_pass(&self) -> bool {
        self.cause.can_pass()
    }
}

impl fmt::Display for OpenBaoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.call, self.cause)
    }
}

impl std::error::Error for OpenBaoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<OpenBaoError> for Error {
    /// Failures that can pass are UNAVAILABLE or DEADLINE_EXCEEDED, which operations retry.
    fn from(error: OpenBaoError) -> Self {
        let kind = match error.cause {
            Cause::InWrite | Cause::Path => return Self::internal(error),
            Cause::Frozen | Cause::Slow => Kind::DeadlineExceeded,
            cause if cause.can_pass() => Kind::Unavailable,
            _ => Kind::FailedPrecondition,
        };
        Self::new(kind, Reason::EgressFailed, error.to_string()).caused_by(error)
    }
}

/// The response, or `None` if the call failed for this cause.
pub(super) fn unless<T>(found: Result<T>, cause: Cause) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(OpenBaoError { cause: other, .. }) if other == cause => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The host has no address, or none accepts a connection.
    #[error("OpenBAO cannot be reached")]
    Down,
    #[error(
        "cannot establish a secure connection to OpenBAO; check TENANTRY_OPENBAO_ADDR and TENANTRY_OPENBAO_CA_FILE"
    )]
    Tls,
    #[error("OpenBAO expects https:// in TENANTRY_OPENBAO_ADDR")]
    HttpsRequired,
    /// The connection ended before the response was complete. The call may have taken effect.
    #[error("the connection to OpenBAO was interrupted")]
    Interrupted,
    /// No response, and none to a health check either.
    #[error("OpenBAO does not respond")]
    Frozen,
    /// No response to this call, but one to a health check. The call may take effect later.
    #[error("OpenBAO did not complete the call in time")]
    Slow,
    #[error("OpenBAO is not initialized")]
    NotInitialized,
    #[error("OpenBAO is sealed")]
    Sealed,
    #[error("OpenBAO has no active node")]
    NoActiveNode,
    #[error("OpenBAO limits the rate of calls")]
    RateLimited,
    #[error("the policy of the server's token does not allow it")]
    Denied,
    #[error("the server's token is missing, was revoked or has expired")]
    TokenInvalid,
    #[error("the file with the token cannot be read or is empty; check TENANTRY_OPENBAO_TOKEN_FILE")]
    TokenFile,
    #[error("the file with the secret id cannot be read or is empty; check its setting")]
    SecretIdFile,
    #[error("OpenBAO refused the role id or the secret id")]
    LoginRefused,
    #[error("the wrapped secret id was already used or has expired; if nobody used it on purpose, it was stolen")]
    WrappingInvalid,
    #[error("the token cannot be renewed")]
    TokenNotRenewable,
    #[error("the namespace in TENANTRY_OPENBAO_NAMESPACE does not exist")]
    NoNamespace,
    #[error("the database secrets engine is not enabled; run deploy/openbao/bootstrap.sh")]
    NoEngine,
    #[error("the transit secrets engine is not enabled; run deploy/openbao/bootstrap.sh with KEK")]
    NoTransit,
    #[error(
        "the transit key does not exist, or the policy of the server's token does not allow its use; run deploy/openbao/bootstrap.sh with KEK"
    )]
    KeyDenied,
    #[error("OpenBAO no longer opens what this version of the transit key sealed (min_decryption_version)")]
    KeyVersion,
    /// Another key sealed it, or for another purpose, or it was changed.
    #[error("the transit key did not seal it")]
    NotSealed,
    #[error("the database connection does not exist in OpenBAO")]
    NoConnection,
    #[error("the database role does not exist in OpenBAO")]
    NoRole,
    #[error("the database connection does not allow the role")]
    RoleNotAllowed,
    #[error("the lease no longer exists")]
    NoLease,
    #[error("the lease cannot be renewed")]
    NotRenewable,
    #[error("OpenBAO cannot reach the database server")]
    DatabaseDown,
    #[error("the database server refused the login of the provisioner")]
    DatabaseLogin,
    /// With the SQLSTATE.
    #[error("the database server refused a statement ({})", sqlstate(.0))]
    DatabaseRefused([u8; 5]),
    /// Any other status that means a failure of the server.
    #[error("OpenBAO failed with status {0}")]
    Failed(u16),
    /// Any other status that means a fault of the call.
    #[error("OpenBAO refused the call with status {0}")]
    Refused(u16),
    #[error("the response of OpenBAO is not valid")]
    Response,
    /// The keeper of leases has ended.
    #[error("the server is shutting down")]
    Stopping,
    /// A bug: a name breaks the rule for paths.
    #[error("internal error")]
    Path,
    /// A bug: the call was made inside a write.
    #[error("internal error")]
    InWrite,
}

fn sqlstate(code: &[u8; 5]) -> String {
    format!("SQLSTATE {}", String::from_utf8_lossy(code))
}

impl Cause {
    /// Whether the same call may succeed later without a person's help.
    pub fn can_pass(self) -> bool {
        matches!(
            self,
            Self::Down
                | Self::Interrupted
                | Self::Frozen
                | Self::Slow
                | Self::NotInitialized
                | Self::Sealed
                | Self::NoActiveNode
                | Self::RateLimited
                | Self::DatabaseDown
                | Self::Stopping
                | Self::Failed(_)
        )
    }

    /// Whether a call is repeated within its time limit. Of one that used up the limit, no time is left.
    pub(super) fn is_retried(self, call: Call) -> bool {
        match self {
            Self::Frozen | Self::Slow => false,
            Self::Interrupted | Self::Failed(_) => call.is_repeatable(),
            cause => cause.can_pass(),
        }
    }

    /// One word for `/readyz?verbose`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Down | Self::Interrupted => "down",
            Self::Tls | Self::HttpsRequired => "tls",
            Self::Frozen => "frozen",
            Self::Slow => "slow",
            Self::NotInitialized => "not_initialized",
            Self::Sealed => "sealed",
            Self::NoActiveNode => "no_active_node",
            Self::RateLimited => "rate_limited",
            Self::Denied => "denied",
            Self::TokenInvalid | Self::TokenNotRenewable | Self::TokenFile => "token_invalid",
            Self::SecretIdFile | Self::LoginRefused | Self::WrappingInvalid => "login_refused",
            Self::NoNamespace => "no_namespace",
            Self::NoEngine => "no_database_engine",
            Self::NoTransit | Self::KeyDenied | Self::KeyVersion | Self::NotSealed => "key",
            Self::DatabaseDown | Self::DatabaseLogin | Self::DatabaseRefused(_) => "database",
            _ => "failed",
        }
    }
}
