//! Timestamps as both databases store and compare them.

use sea_orm::DeriveValueType;
use time::OffsetDateTime;

/// A time in microseconds since the Unix epoch. SQLite has no type for times, and its text representations do
/// not sort correctly; a number does on both databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Stamp(i64);

impl Stamp {
    /// A time in microseconds since the epoch.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub fn micros(self) -> i64 {
        self.0
    }

    /// The time in UTC.
    pub fn time(self) -> OffsetDateTime {
        // Every valid time converts back; the epoch replaces a number out of range.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl From<OffsetDateTime> for Stamp {
    fn from(time: OffsetDateTime) -> Self {
        // Microseconds since the epoch fit into 64 bits as long as years have four digits.
        Self((time.unix_timestamp_nanos() / 1000) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_with_microsecond_precision() {
        let time = OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(1_767_225_600_123_456);
        assert_eq!(Stamp::from(time).time(), time);
        assert_eq!(Stamp::from(time).micros(), 1_767_225_600_123_456);
    }
}
