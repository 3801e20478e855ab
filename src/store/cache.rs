//! Values that this process keeps for a moment, and forgets when a write changes them.
//!
//! Only SQLite gets a cache: a second read costs as much as the write that it precedes, and a change by another process
//! is the exception. PostgreSQL is always asked, because a change by another replica is the rule.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::DbBackend;

use super::Store;
use crate::base::Result;

/// In-memory state that a write invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalidate {
    ClusterNames,
}

/// The values, by what invalidates them.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Invalidate, Entry>>);

#[derive(Default)]
struct Entry {
    /// The number of invalidations so far. A value that was read before the last one is not kept.
    generation: u64,
    value: Option<(Instant, Arc<dyn Any + Send + Sync>)>,
}

impl Cache {
    /// Forgets a value.
    pub fn invalidate(&self, key: Invalidate) {
        let mut entries = self.lock();
        let entry = entries.entry(key).or_default();
        entry.generation += 1;
        entry.value = None;
    }

    /// The value if it is at most so old, and the generation to keep a new one under.
    fn get<T: Send + Sync + 'static>(&self, key: Invalidate, max_age: Duration) -> (Option<Arc<T>>, u64) {
        let mut entries = self.lock();
        let entry = entries.entry(key).or_default();
        let fresh = entry.value.as_ref().filter(|(read, _)| read.elapsed() < max_age);
        (fresh.and_then(|(_, value)| Arc::clone(value).downcast().ok()), entry.generation)
    }

    fn put<T: Send + Sync + 'static>(&self, key: Invalidate, generation: u64, value: Arc<T>) {
        let mut entries = self.lock();
        let entry = entries.entry(key).or_default();
        if entry.generation == generation {
            entry.value = Some((Instant::now(), value));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Invalidate, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// The value that `load` reads, which may be up to `max_age` old if another process changes it. Writes of this process
    /// that invalidate the key are seen at once.
    pub async fn cached<T, F>(&self, key: Invalidate, max_age: Duration, load: impl FnOnce() -> F) -> Result<Arc<T>>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<T>>,
    {
        let cache = &self.0.observers.cache;
        let (value, generation) = cache.get(key, max_age);
        if let Some(value) = value {
            return Ok(value);
        }
        // In a box, because it rarely runs.
        let value = Arc::new(Box::pin(load()).await?);
        if self.backend() == DbBackend::Sqlite {
            cache.put(key, generation, Arc::clone(&value));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Invalidate = Invalidate::ClusterNames;
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_value_is_kept_until_it_is_invalidated_or_too_old() {
        let cache = Cache::default();
        let (none, generation) = cache.get::<u8>(KEY, LONG);
        assert_eq!(none, None);
        cache.put(KEY, generation, Arc::new(1_u8));
        assert_eq!(cache.get(KEY, LONG).0, Some(Arc::new(1_u8)));
        assert_eq!(cache.get::<u8>(KEY, Duration::ZERO).0, None);
        cache.invalidate(KEY);
        assert_eq!(cache.get::<u8>(KEY, LONG).0, None);
    }

    #[test]
    fn a_value_that_was_read_before_an_invalidation_is_not_kept() {
        let cache = Cache::default();
        let (_, before) = cache.get::<u8>(KEY, LONG);
        cache.invalidate(KEY);
        cache.put(KEY, before, Arc::new(1_u8));
        assert_eq!(cache.get::<u8>(KEY, LONG).0, None);
    }
}
