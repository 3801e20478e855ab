//! Locks by idempotency key, so that only one call of this process uses a key at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// The keys in use. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Latches(Arc<Mutex<HashMap<String, watch::Receiver<()>>>>);

/// The lock of a key, until it is dropped.
pub(super) struct Latch {
    latches: Latches,
    key: String,
    /// Dropping it wakes the waiting calls.
    _held: watch::Sender<()>,
}

impl Latches {
    /// Locks a key; `None` if it is still locked at `end`.
    pub(super) async fn enter(&self, key: &str, end: Instant) -> Option<Latch> {
        loop {
            let mut held = match self.take(key) {
                Ok(latch) => return Some(latch),
                Err(held) => held,
            };
            // The channel changes only when the latch is dropped.
            let _ = timeout_at(end, held.changed()).await.ok()?;
        }
    }

    fn take(&self, key: &str) -> Result<Latch, watch::Receiver<()>> {
        let mut keys = self.keys();
        if let Some(held) = keys.get(key) {
            return Err(held.clone());
        }
        let (held, waits) = watch::channel(());
        keys.insert(key.to_owned(), waits);
        Ok(Latch { latches: self.clone(), key: key.to_owned(), _held: held })
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<()>>> {
        // Each change of the map is one call, so the map is consistent even if the lock is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.latches.keys().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_key_is_locked_by_one_call_at_a_time() {
        let latches = Latches::default();
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(30));
        let first = latches.enter("a", later).await.unwrap();
        assert!(latches.enter("a", now).await.is_none(), "locked");
        assert!(latches.enter("b", later).await.is_some(), "another key is free");
        let (next, ()) = tokio::join!(latches.enter("a", later), async { drop(first) });
        assert!(next.is_some());
        drop(next);
        assert!(latches.keys().is_empty());
    }
}
