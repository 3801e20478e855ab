//! Times in messages.

use prost_types::Timestamp;
use time::{Duration, OffsetDateTime};

use crate::base::{Error, Result, error::Reason};

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
