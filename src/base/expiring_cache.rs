//! A bounded in-memory cache whose entries expire.

use std::{
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::{UnitWeighter, sync::Cache};

/// The number of entries for which space is allocated at once. The rest is allocated as needed.
const INITIAL_ENTRIES: usize = 64;

/// A bounded cache. An entry expires after a fixed time since it was inserted; when the cache is full, entries that
/// were not used recently are evicted. An expired entry is never returned, but occupies memory until it is looked up or
/// evicted. Cheap to clone; clones share the entries.
#[derive(Debug)]
pub struct ExpiringCache<K, V> {
    entries: Arc<Cache<K, Entry<V>, UnitWeighter>>,
    lifetime: Duration,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    inserted: Instant,
    value: V,
}

impl<K: Hash + Eq, V: Clone> ExpiringCache<K, V> {
    pub fn new(capacity: u64, lifetime: Duration) -> Self {
        Self { entries: Arc::new(Cache::with_weighter(INITIAL_ENTRIES, capacity, UnitWeighter)), lifetime }
    }

    /// The value of a key, unless it has expired.
    pub fn get(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        if entry.inserted.elapsed() < self.lifetime {
            return Some(entry.value);
        }
        // Unless another thread has just replaced it.
        self.entries.remove_if(key, |current| current.inserted == entry.inserted);
        None
    }

    /// Inserts or replaces the value of a key.
    pub fn insert(&self, key: K, value: V) {
        self.entries.insert(key, Entry { inserted: Instant::now(), value });
    }

    pub fn remove(&self, key: &K) {
        self.entries.remove(key);
    }
}

impl<K, V> Clone for ExpiringCache<K, V> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), lifetime: self.lifetime }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_expire_and_can_be_replaced() {
        let cache = ExpiringCache::new(10, Duration::from_millis(20));
        cache.insert("a", 1);
        assert_eq!(cache.get(&"a"), Some(1));
        std::thread::sleep(Duration::from_millis(25));
        assert_eq!(cache.get(&"a"), None);
        cache.insert("a", 2);
        assert_eq!(cache.clone().get(&"a"), Some(2));
        cache.remove(&"a");
        assert_eq!(cache.get(&"a"), None);
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let cache = ExpiringCache::new(1_000, Duration::from_secs(60));
        (0..10_000).for_each(|key| cache.insert(key, key));
        let kept = (0..10_000).filter(|key| cache.get(key).is_some()).count();
        assert!((500..=1_000).contains(&kept), "{kept}");
    }
}
