//! How long a lease is valid, and when it needs something.

use time::{Duration, OffsetDateTime};

use crate::base::{Error, Result, error::Reason};

/// How long a lease is kept if its program asks for nothing else, and the bounds.
pub const DEFAULT_TTL: Duration = Duration::HOUR;
pub const LEAST_TTL: Duration = Duration::MINUTE;
pub const LONGEST_TTL: Duration = Duration::DAY;

/// How long a lease is kept.
pub(super) fn ttl(asked: Option<Duration>) -> Result<Duration> {
    match asked.unwrap_or(DEFAULT_TTL) {
        ttl if (LEAST_TTL..=LONGEST_TTL).contains(&ttl) => Ok(ttl),
        _ => {
            let message = "ttl must be from 60 s to 86400 s";
            Err(Error::invalid(Reason::InvalidArgument, "ttl", message))
        }
    }
}

/// When a lease that OpenBAO has just granted for this long needs something: a renewal after two thirds of it, or nothing before its
/// end, if it is valid until then.
pub(super) fn due(now: OffsetDateTime, granted: Duration, ends_at: OffsetDateTime) -> OffsetDateTime {
    if now + granted >= ends_at { ends_at } else { now + granted * 2 / 3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_kept_for_an_hour_unless_its_program_asks_for_another_time() {
        for (seconds, kept) in [(None, 3600), (Some(60), 60), (Some(86_400), 86_400)] {
            assert_eq!(ttl(seconds.map(Duration::seconds)).unwrap().whole_seconds(), kept, "{seconds:?}");
        }
        for seconds in [59, 86_401, 0, -1, i64::MIN, i64::MAX] {
            let error = ttl(Some(Duration::seconds(seconds))).unwrap_err();
            assert_eq!((error.reason, error.violations[0].field.as_str()), (Reason::InvalidArgument, "ttl"));
        }
        assert!(ttl(Some(Duration::new(59, 999_999_999))).is_err() && ttl(Some(Duration::new(60, 1))).is_ok());
    }

    #[test]
    fn a_lease_is_renewed_after_two_thirds_and_not_beyond_its_end() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let at = |seconds| now + Duration::seconds(seconds);
        let hour = Duration::HOUR;
        assert_eq!(due(now, hour, at(86_400)), at(2400));
        assert_eq!(due(now, hour, at(3600)), at(3600));
        assert_eq!(due(now, hour, at(60)), at(60));
        assert_eq!(due(now, hour, at(3601)), at(2400));
    }
}
