//! The position of one follower in the outbox. Each follower has its own, so a failing one does not delay the others.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::follower::Follower;
use crate::store::outbox::Event;

/// The delay after a failure.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// A follower and its position.
pub(super) struct Cursor {
    follower: Arc<dyn Follower>,
    progress: Mutex<Progress>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The last revision that the follower processed.
    position: i64,
    /// After a failure: when to pass the events again.
    retry_at: Option<Instant>,
}

impl Cursor {
    pub(super) fn new(follower: Arc<dyn Follower>) -> Self {
        Self { follower, progress: Mutex::default() }
    }

    /// The position; `None` while the follower waits for a retry.
    pub(super) fn due(&self) -> Option<i64> {
        let Progress { position, retry_at } = *self.progress();
        retry_at.is_none_or(|at| at <= Instant::now()).then_some(position)
    }

    /// Passes the events after the position to the follower.
    pub(super) async fn deliver(&self, events: &[Event], through: i64) {
        let (processed, name) = (self.follower.process(events, through).await, self.follower.name());
        let mut progress = self.progress();
        match &processed {
            Ok(()) if progress.retry_at.is_some() => {
                tracing::info!(follower = name, "processing outbox events again")
            }
            Err(error) if progress.retry_at.is_none() => {
                let cause = error.cause.as_ref();
                tracing::warn!(follower = name, %error, ?cause, "cannot process outbox events; trying again");
            }
            _ => {}
        }
        *progress = match processed {
            Ok(()) => Progress { position: through, retry_at: None },
            Err(_) => Progress { retry_at: Some(Instant::now() + RETRY), ..*progress },
        };
    }

    /// Continues after a revision. Earlier events were not read.
    pub(super) fn restart(&self, at: i64) {
        self.follower.restart(at);
        *self.progress() = Progress { position: at, retry_at: None };
    }

    /// Continues after the newest event of a database that lost later ones.
    pub(super) fn rewind(&self, to: i64) {
        self.follower.rewind(to);
        *self.progress() = Progress { position: to, retry_at: None };
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.follower.name(), *self.progress())
    }
}
