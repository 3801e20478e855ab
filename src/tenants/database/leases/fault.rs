//! Failures of OpenBAO, as callers see them.

use crate::{
    base::{Error, Kind, error::Reason},
    openbao::{Cause, OpenBaoError},
};

/// The error of a call that needed OpenBAO. It names the call and the cause.
pub(super) fn of(error: OpenBaoError) -> Error {
    let (kind, reason, message) = match error.cause {
        Cause::InWrite | Cause::Path => return Error::internal(error),
        Cause::NoRole | Cause::NoConnection => {
            (Kind::FailedPrecondition, Reason::DatabaseNotProvisioned, not_provisioned().to_owned())
        }
        // A resumption that has not reached OpenBAO yet: the tenant is not suspended.
        Cause::RoleNotAllowed => {
            let message = "OpenBAO does not lease credentials of the tenant, because it was suspended; retry later";
            (Kind::Unavailable, Reason::OpenbaoUnavailable, message.to_owned())
        }
        cause if cause.can_pass() => (Kind::Unavailable, Reason::OpenbaoUnavailable, error.to_string()),
        _ => (Kind::FailedPrecondition, Reason::OpenbaoRefused, error.to_string()),
    };
    Error::new(kind, reason, message).caused_by(error)
}

pub(super) fn not_provisioned() -> &'static str {
    "the tenant has no provisioned database with a role in OpenBAO; provision it first"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openbao::Call;

    #[test]
    fn each_cause_has_its_own_error() {
        let unavailable = (Kind::Unavailable, Reason::OpenbaoUnavailable);
        let refused = (Kind::FailedPrecondition, Reason::OpenbaoRefused);
        let absent = (Kind::FailedPrecondition, Reason::DatabaseNotProvisioned);
        let mut texts = std::collections::BTreeSet::new();
        for (cause, expected) in [
            (Cause::Down, unavailable),
            (Cause::Sealed, unavailable),
            (Cause::Frozen, unavailable),
            (Cause::Slow, unavailable),
            (Cause::RateLimited, unavailable),
            (Cause::DatabaseDown, unavailable),
            (Cause::RoleNotAllowed, unavailable),
            (Cause::Denied, refused),
            (Cause::TokenInvalid, refused),
            (Cause::Tls, refused),
            (Cause::DatabaseRefused(*b"42501"), refused),
            (Cause::NoRole, absent),
        ] {
            let error = of(OpenBaoError::new(Call::LeaseCredentials, cause));
            assert_eq!((error.kind, error.reason), expected, "{cause:?}");
            assert!(texts.insert(error.to_string()), "{error}");
        }
        assert_eq!(of(OpenBaoError::new(Call::RenewLease, Cause::Path)).kind, Kind::Internal);
    }
}
