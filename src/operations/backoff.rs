//! Operations that this server leaves alone for a while, because their failures cannot be recorded in the database.

use std::collections::HashMap;

use tokio::time::Instant;
use uuid::Uuid;

use super::retry;
use crate::base::Error;

/// The failures outside of steps, by operation.
#[derive(Debug, Default)]
pub(super) struct Backoff(HashMap<Uuid, Failures>);

#[derive(Debug)]
struct Failures {
    count: u32,
    /// When the operation may be tried again.
    until: Instant,
}

impl Backoff {
    /// Notes a failure, and returns how many there were in a row.
    pub fn failed(&mut self, id: Uuid, error: &Error) -> u32 {
        let count = self.0.get(&id).map_or(0, |failures| failures.count).saturating_add(1);
        let until = Instant::now() + retry::delay(error, count).unsigned_abs();
        self.0.insert(id, Failures { count, until });
        count
    }

    /// Forgets the failures of an operation.
    pub fn succeeded(&mut self, id: Uuid) {
        self.0.remove(&id);
    }

    /// Whether an operation is left alone for now.
    pub fn holds(&self, id: Uuid) -> bool {
        self.0.get(&id).is_some_and(|failures| Instant::now() < failures.until)
    }

    /// Forgets all operations but these.
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
    async fn each_failure_in_a_row_holds_an_operation_back_for_longer() {
        let (mut backoff, error) = (Backoff::default(), Error::internal("no"));
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for (count, seconds) in [(1, 1), (2, 2), (3, 4)] {
            assert_eq!(backoff.failed(id, &error), count);
            advance(Duration::from_secs(seconds) / 2).await;
            assert!(backoff.holds(id) && !backoff.holds(other), "{count}");
            advance(Duration::from_secs(seconds) / 2).await;
            assert!(!backoff.holds(id), "{count}");
        }
        backoff.succeeded(id);
        assert_eq!(backoff.failed(id, &error), 1, "a success ends the row");
        backoff.retain(|kept| *kept == other);
        assert!(!backoff.holds(id));
    }
}
