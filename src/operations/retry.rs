//! What follows the failure of an attempt.

use time::Duration;

use crate::base::{Error, Kind};

/// The delay after the first failure.
const FIRST: Duration = Duration::seconds(1);
/// The longest delay.
const LONGEST: Duration = Duration::minutes(5);
/// After how many internal errors without progress an operation fails.
const INTERNAL_ATTEMPTS: u32 = 10;

/// Whether an error may be a fault of this program: then other attempts may help, but not for ever.
pub(super) fn is_internal(error: &Error) -> bool {
    matches!(error.kind, Kind::Internal | Kind::Unknown)
}

/// Whether another attempt may help after an error, which is the last of so many internal ones since the last progress.
pub(super) fn is_worth_it(error: &Error, internal_failures: u32) -> bool {
    match error.kind {
        Kind::Unavailable | Kind::Aborted | Kind::DeadlineExceeded | Kind::ResourceExhausted | Kind::Cancelled => true,
        _ => is_internal(error) && internal_failures < INTERNAL_ATTEMPTS,
    }
}

/// The delay before the next attempt, at least as long as the error asks for, shortened by up to 10 % so that operations
/// which failed together are not tried together.
pub(super) fn delay(error: &Error, attempts: u32) -> Duration {
    let doubled = FIRST.saturating_mul(2_i32.saturating_pow(attempts.saturating_sub(1)));
    let delay = doubled.min(LONGEST) * rand::random_range(0.9_f64..=1.0);
    let wanted = error.retry_after.and_then(|delay| Duration::try_from(delay).ok()).unwrap_or_default();
    delay.max(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Reason;

    fn error(kind: Kind) -> Error {
        Error::new(kind, Reason::Internal, "no")
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_is_decided_is_not() {
        for kind in [Kind::Unavailable, Kind::Aborted, Kind::DeadlineExceeded, Kind::ResourceExhausted] {
            assert!(is_worth_it(&error(kind), u32::MAX), "{kind:?}");
        }
        for kind in [Kind::InvalidArgument, Kind::FailedPrecondition, Kind::PermissionDenied, Kind::NotFound] {
            assert!(!is_worth_it(&error(kind), 1), "{kind:?}");
        }
        assert!(is_worth_it(&error(Kind::Internal), 9) && !is_worth_it(&error(Kind::Internal), 10));
    }

    #[test]
    fn delays_grow_up_to_a_bound() {
        for (attempts, seconds) in [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (u32::MAX, 300.0)] {
            let delay = delay(&error(Kind::Unavailable), attempts).as_seconds_f64();
            assert!((0.9 * seconds..=seconds).contains(&delay), "{attempts} attempts: {delay} s");
        }
        let told = error(Kind::Unavailable).retry_after(std::time::Duration::from_secs(7));
        assert_eq!(delay(&told, 1), Duration::seconds(7));
    }
}
