//! Times as both databases keep and compare them.

use sea_orm::DeriveValueType;
use time::OffsetDateTime;

/// A moment in whole microseconds since the epoch. SQLite has no type for times, and the texts that stand for them
/// there do not sort; a number does, on both databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Stamp(i64);

impl Stamp {
    /// Microseconds since the epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The moment in UTC.
    pub fn time(self) -> OffsetDateTime {
        // Every moment that was ever a time is one again; the epoch stands in for a number that never was.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl From<OffsetDateTime> for Stamp {
    fn from(time: OffsetDateTime) -> Self {
        // Microseconds since the epoch fit 64 bits for as long as years have four digits.
        Self((time.unix_timestamp_nanos() / 1000) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_to_the_microsecond() {
        let time = OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(1_767_225_600_123_456);
        assert_eq!(Stamp::from(time).time(), time);
        assert_eq!(Stamp::from(time).micros(), 1_767_225_600_123_456);
    }
}
