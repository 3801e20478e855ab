//! Delays after failures that could not be recorded in the database, on this server only.

use std::collections::HashMap;

use tokio::time::Instant;
use uuid::Uuid;

use super::retry;
use crate::base::Error;

/// The failures that could not be recorded, by operation.
#[derive(Debug, Default)]
pub(super) struct Backoff(HashMap<Uuid, Failures>);

#[derive(Debug)]
struct Failures {
    count: u32,
    /// When the operation may be tried again.
    retry_at: Instant,
}

impl Backoff {
    /// Counts a failure, and returns the number of consecutive failures.
    pub fn failed(&mut self, id: Uuid, error: &Error) -> u32 {
        let count = self.0.get(&id).map_or(0, |failures| failures.count).saturating_add(1);
        let retry_at = Instant::now() + retry::delay(error, count);
        self.0.insert(id, Failures { count, retry_at });
        count
    }

    /// Forgets the failures of an operation.
    pub fn succeeded(&mut self, id: Uuid) {
        self.0.remove(&id);
    }

    /// Whether an operation must wait before it is tried again.
    pub fn is_delayed(&self, id: Uuid) -> bool {
        self.0.get(&id).is_some_and(|failures| Instant::now() < failures.retry_at)
    }

    /// Forgets all operations for which `wanted` is false.
    pub fn retain(&mut self, wanted: impl Fn(&Uuid) -> bool) {
        self.0.retain(|id, _| wanted(id));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_consecutive_failure_delays_an_operation_for_longer() {
        let (mut backoff, error) = (Backoff::default(), Error::internal("no"));
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for (count, seconds) in [(1, 1), (2, 2), (3, 4)] {
            assert_eq!(backoff.failed(id, &error), count);
            advance(Duration::from_secs(seconds) / 2).await;
            assert!(backoff.is_delayed(id) && !backoff.is_delayed(other), "{count}");
            advance(Duration::from_secs(seconds) / 2).await;
            assert!(!backoff.is_delayed(id), "{count}");
        }
        backoff.succeeded(id);
        assert_eq!(backoff.failed(id, &error), 1, "a success did not reset the count");
        backoff.retain(|kept| *kept == other);
        assert!(!backoff.is_delayed(id));
    }
}
