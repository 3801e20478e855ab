//! How far one follower has got. Each has a position of its own, so that one that fails does not delay the others.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::follower::Follower;
use crate::store::outbox::Event;

/// The delay after a failure.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// A follower, and what it has taken.
pub(super) struct Cursor {
    follower: Arc<dyn Follower>,
    place: Mutex<Place>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The last revision that was taken.
    position: i64,
    /// After a failure: when the events are handed over again.
    retry: Option<Instant>,
}

impl Cursor {
    pub(super) fn new(follower: Arc<dyn Follower>) -> Self {
        Self { follower, place: Mutex::default() }
    }

    /// The position, unless the follower failed a moment ago.
    pub(super) fn due(&self) -> Option<i64> {
        let Place { position, retry } = *self.place();
        retry.is_none_or(|retry| retry <= Instant::now()).then_some(position)
    }

    /// Hands over the events after the position.
    pub(super) async fn hand(&self, events: &[Event], through: i64) {
        let (taken, name) = (self.follower.take(events, through).await, self.follower.name());
        let mut place = self.place();
        match &taken {
            Ok(()) if place.retry.is_some() => {
                tracing::info!(follower = name, "the events of the outbox can be taken again")
            }
            Err(error) if place.retry.is_none() => {
                let cause = error.cause.as_ref();
                tracing::warn!(follower = name, %error, ?cause, "cannot take events of the outbox; they are retried");
            }
            _ => {}
        }
        *place = match taken {
            Ok(()) => Place { position: through, retry: None },
            Err(_) => Place { retry: Some(Instant::now() + RETRY), ..*place },
        };
    }

    /// Goes on after a revision; what was before was not read.
    pub(super) fn restart(&self, at: i64) {
        self.follower.restart(at);
        *self.place() = Place { position: at, retry: None };
    }

    /// Goes on after the newest event of a database that lost later ones.
    pub(super) fn rewind(&self, to: i64) {
        self.follower.rewind(to);
        *self.place() = Place { position: to, retry: None };
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.follower.name(), *self.place())
    }
}
