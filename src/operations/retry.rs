//! Whether and when a failed attempt is repeated.

use std::time::Duration;

use crate::{
    base::{Error, Kind},
    jobs::backoff,
};

/// The delay after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(300);
/// After how many internal errors without progress an operation fails.
const INTERNAL_ATTEMPTS: u32 = 10;

/// Whether an error may be a bug of the server. Such an error is retried a limited number of times.
pub(super) fn is_internal(error: &Error) -> bool {
    matches!(error.kind, Kind::Internal | Kind::Unknown)
}

/// Whether an attempt that failed with this error is repeated. `internal_failures` is the number of internal errors since the last
/// progress, including this one.
pub(super) fn is_retried(error: &Error, internal_failures: u32) -> bool {
    match error.kind {
        Kind::Unavailable | Kind::Aborted | Kind::DeadlineExceeded | Kind::ResourceExhausted | Kind::Cancelled => true,
        _ => is_internal(error) && internal_failures < INTERNAL_ATTEMPTS,
    }
}

/// The delay before the next attempt, after this many failures: at least the `retry_after` of the error.
pub(super) fn delay(error: &Error, failures: u32) -> Duration {
    backoff(FIRST, LONGEST, failures).max(error.retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Reason;

    fn error(kind: Kind) -> Error {
        Error::new(kind, Reason::Internal, "no")
    }

    #[test]
    fn transient_errors_are_retried_and_permanent_ones_are_not() {
        for kind in [Kind::Unavailable, Kind::Aborted, Kind::DeadlineExceeded, Kind::ResourceExhausted] {
            assert!(is_retried(&error(kind), u32::MAX), "{kind:?}");
        }
        for kind in [Kind::InvalidArgument, Kind::FailedPrecondition, Kind::PermissionDenied, Kind::NotFound] {
            assert!(!is_retried(&error(kind), 1), "{kind:?}");
        }
        assert!(is_retried(&error(Kind::Internal), 9) && !is_retried(&error(Kind::Internal), 10));
    }

    #[test]
    fn delays_double_up_to_a_limit_and_respect_retry_after() {
        for (failures, seconds) in [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (u32::MAX, 300.0)] {
            let delay = delay(&error(Kind::Unavailable), failures).as_secs_f64();
            assert!((0.9 * seconds..=seconds).contains(&delay), "{failures} failures: {delay} s");
        }
        let limited = error(Kind::Unavailable).retry_after(Duration::from_secs(7));
        assert_eq!(delay(&limited, 1), Duration::from_secs(7));
    }
}
