//! How long the sessions of a drained pool or gateway may continue.

use std::ops::RangeInclusive;

use time::Duration;

use crate::base::{Error, Result, error::Reason};

/// Permitted and default duration, in seconds.
const SECONDS: RangeInclusive<i32> = 0..=86_400;
const USUAL: i32 = 300;

/// The duration of a drain.
pub(super) fn duration(seconds: Option<i32>) -> Result<Duration> {
    let seconds = seconds.unwrap_or(USUAL);
    if SECONDS.contains(&seconds) {
        return Ok(Duration::seconds(seconds.into()));
    }
    let message = format!("drain_seconds must be {} to {}", SECONDS.start(), SECONDS.end());
    Err(Error::invalid(Reason::InvalidArgument, "drain_seconds", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_lasts_at_most_a_day() {
        assert_eq!(duration(None).unwrap(), Duration::seconds(300));
        assert!(duration(Some(0)).is_ok() && duration(Some(86_400)).is_ok());
        assert!(duration(Some(-1)).is_err() && duration(Some(86_401)).is_err());
    }
}
