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
}

impl TimeLimit {
    pub fn new(at: Instant) -> Self {
        Self { first: at, extended: Arc::default() }
    }

    /// When the call ends.
    pub fn at(&self) -> Instant {
        self.first + Duration::from_millis(self.extended.load(Ordering::Relaxed))
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
    }
}
