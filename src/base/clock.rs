//! Time, random bytes and new ids, from injected sources.

use std::{
    fmt,
    sync::{Arc, LazyLock, Mutex},
    time::Instant,
};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// The source of time and ids: the system's in production; in tests one that moves only on request.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<Mutex<OffsetDateTime>>),
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stays at `now` until [`advance`](Clock::advance) moves it.
    pub fn manual(now: OffsetDateTime) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(now))))
    }

    /// The time in UTC, in whole microseconds: the precision of both databases.
    pub fn now(&self) -> OffsetDateTime {
        let now = match &self.0 {
            Source::System => OffsetDateTime::now_utc(),
            Source::Manual(now) => *now.lock().unwrap_or_else(|poisoned| poisoned.into_inner()),
        };
        // A number of microseconds below a million is valid.
        now.replace_microsecond(now.microsecond()).unwrap_or(now)
    }

    /// Monotonic time since the clock was created, for everything that must not depend on the wall clock. Meaningless
    /// in other processes.
    pub fn running(&self) -> std::time::Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        match &self.0 {
            Source::System => START.elapsed(),
            Source::Manual(_) => (self.now() - OffsetDateTime::UNIX_EPOCH).unsigned_abs(),
        }
    }

    /// Seconds since the epoch.
    pub fn unix(&self) -> i64 {
        self.now().unix_timestamp()
    }

    /// Moves a manual clock. Has no effect on the system's clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            let mut now = now.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            *now += by;
        }
    }

    /// A new UUIDv7 with the current time.
    pub fn new_id(&self) -> Uuid {
        match &self.0 {
            Source::System => Uuid::now_v7(),
            Source::Manual(_) => {
                let now = self.now();
                let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
                Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.nanosecond()))
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
