//! The clock of a gateway, which may be wrong.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::{pki_types::UnixTime, time_provider::TimeProvider};

/// A clock that differs from that of the system by a fixed number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    ahead: i64,
}

impl Clock {
    /// A clock that is ahead by this number of seconds; a negative number is behind.
    pub fn ahead(seconds: i64) -> Self {
        Self { ahead: seconds }
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_add(self.ahead)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.unix().try_into().ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
