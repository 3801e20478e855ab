//! One call for a key at a time, in this process.

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

/// The exclusive use of a key, until it is dropped.
pub(super) struct Latch {
    latches: Latches,
    key: String,
    /// Dropping it wakes the waiting calls.
    _held: watch::Sender<()>,
}

impl Latches {
    /// Waits for exclusive use of a key; `None` if it is not available in time.
    pub(super) async fn enter(&self, key: &str, end: Instant) -> Option<Latch> {
        loop {
            let mut held = match self.take(key) {
                Ok(latch) => return Some(latch),
                Err(held) => held,
            };
            // The only change is its end.
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
        // Each change is one step, so a poisoned lock is consistent.
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
    async fn a_key_is_held_by_one_and_then_by_the_next() {
        let latches = Latches::default();
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(30));
        let first = latches.enter("a", later).await.unwrap();
        assert!(latches.enter("a", now).await.is_none(), "held");
        assert!(latches.enter("b", later).await.is_some(), "another key is free");
        let (next, ()) = tokio::join!(latches.enter("a", later), async { drop(first) });
        assert!(next.is_some());
        drop(next);
        assert!(latches.keys().is_empty());
    }
}
