//! The time limit of a call, which a call that waits for a change extends by the time that its caller asked for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The time limit of a call, in the extensions of its request. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct TimeLimit {
    first: Instant,
    /// In milliseconds.
    extended: Arc<AtomicU64>,
    /// When the caller stops waiting, if it says so.
    asked: Option<Instant>,
}

impl TimeLimit {
    pub fn new(at: Instant) -> Self {
        Self { first: at, extended: Arc::default(), asked: None }
    }

    /// With the deadline of the caller, which cannot be extended.
    #[must_use]
    pub fn within(self, asked: Option<Instant>) -> Self {
        Self { asked, ..self }
    }

    /// When the call ends.
    pub fn at(&self) -> Instant {
        let own = self.first + Duration::from_millis(self.extended.load(Ordering::Relaxed));
        self.asked.map_or(own, |asked| asked.min(own))
    }

    /// Moves the end by the time that the caller asked the call to wait.
    pub fn extend(&self, by: Duration) {
        self.extended.fetch_add(u64::try_from(by.as_millis()).unwrap_or_default(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_an_extension() {
        let start = Instant::now();
        let limit = TimeLimit::new(start);
        limit.clone().extend(Duration::from_secs(5));
        assert_eq!(limit.at(), start + Duration::from_secs(5));
        let asked = limit.within(Some(start + Duration::from_secs(7)));
        asked.extend(Duration::from_secs(5));
        assert_eq!(asked.at(), start + Duration::from_secs(7), "the caller does not wait longer");
    }
}
