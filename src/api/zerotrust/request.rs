//! Conversion of requests of this surface: the users that they name, and times.

use prost_types::Timestamp;
use time::{Duration, OffsetDateTime};

use crate::{
    base::{Cx, Error, IdKind, Result, TenantRef, error::Reason},
    identity::UserRef,
};

/// A user of the call's tenant, in the version that the caller read.
pub(super) fn user_ref(cx: &Cx, user: String, version: Option<i64>) -> Result<UserRef> {
    Ok(UserRef { tenant: cx.tenant()?.clone(), user, version })
}

/// The user that a request names, or else the caller's own account. Callers without an account must name one.
pub(super) fn user_or_caller(cx: &Cx, user: Option<String>) -> Result<UserRef> {
    let own = || cx.caller.account.map(|account| IdKind::User.show(account));
    let user = user.or_else(own).ok_or_else(|| Error::missing_field("user_id"))?;
    user_ref(cx, user, None)
}

/// The tenant of the call; none for a platform caller that names none, which means the installation.
pub(super) fn tenant_or_installation(cx: &Cx) -> Result<Option<&TenantRef>> {
    match cx.tenant() {
        Ok(tenant) => Ok(Some(tenant)),
        Err(_) if cx.caller.is_platform() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A time with microsecond precision, which is what is stored. Errors name `field`.
pub(super) fn time(field: &str, timestamp: &Timestamp) -> Result<OffsetDateTime> {
    // The range of nanoseconds is that of google/protobuf/timestamp.proto.
    let time = OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok();
    let time = time.filter(|_| (0..1_000_000_000).contains(&timestamp.nanos));
    let time = time.and_then(|time| time.checked_add(Duration::microseconds(i64::from(timestamp.nanos) / 1000)));
    time.ok_or_else(|| Error::invalid(Reason::InvalidArgument, field, "not a valid time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_refused() {
        let read =
            |seconds, nanos| time("expires_at", &Timestamp { seconds, nanos }).ok().map(OffsetDateTime::unix_timestamp);
        assert_eq!(read(2_000_000_000, 999_999_999), Some(2_000_000_000));
        for (seconds, nanos) in [(2_000_000_000, -1), (2_000_000_000, 1_000_000_000), (i64::MAX, 0), (i64::MIN, 0)] {
            assert_eq!(read(seconds, nanos), None, "{seconds} {nanos}");
        }
    }
}
