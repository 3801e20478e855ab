//! Aggregates frequent events for the audit log: one event for all of a kind within a minute.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::base::Clock;

/// The key of an aggregate: everything with an equal key is counted together.
pub(super) trait Line: Clone + Eq + Hash + Send {
    /// The counts of a key.
    type Count: Count;
    /// The key for overflow, if there are too many keys.
    fn among_others(self) -> Self;
}

/// The counts of a key.
pub(super) trait Count: Default + Send {
    /// Adds other counts.
    fn add(&mut self, other: Self);
}

impl Count for u64 {
    fn add(&mut self, other: Self) {
        *self += other;
    }
}

/// A key with its minute, in whole minutes since the epoch, and its counts.
pub(super) struct Counted<L: Line> {
    pub line: L,
    pub minute: i64,
    pub count: L::Count,
}

/// Counts since the last flush. Cheap to clone; clones share the counts.
pub(super) struct Aggregate<L: Line> {
    lines: Arc<Mutex<Lines<L>>>,
    /// Maximum number of keys between two flushes.
    most: usize,
    clock: Clock,
}

type Lines<L> = HashMap<(L, i64), <L as Line>::Count>;

impl<L: Line> Clone for Aggregate<L> {
    fn clone(&self) -> Self {
        Self { lines: self.lines.clone(), most: self.most, clock: self.clock.clone() }
    }
}

impl<L: Line> Aggregate<L> {
    pub fn new(most: usize, clock: Clock) -> Self {
        Self { lines: Arc::default(), most, clock }
    }

    /// Counts an event now.
    pub fn add(&self, line: L, count: L::Count) {
        let minute = self.minute();
        let mut lines = self.lines();
        let key = (line, minute);
        let full = lines.len() >= self.most && !lines.contains_key(&key);
        let key = if full { (key.0.among_others(), minute) } else { key };
        lines.entry(key).or_default().add(count);
    }

    /// Takes the counts of completed minutes, and those of the current minute if `all`.
    pub fn take(&self, all: bool) -> Vec<Counted<L>> {
        let now = self.minute();
        let taken: Vec<_> = self.lines().extract_if(|(_, minute), _| all || *minute < now).collect();
        taken.into_iter().map(|((line, minute), count)| Counted { line, minute, count }).collect()
    }

    /// Returns counts that could not be written.
    pub fn put_back(&self, taken: Vec<Counted<L>>) {
        let mut lines = self.lines();
        for Counted { line, minute, count } in taken {
            let room = lines.len() < 2 * self.most;
            match lines.entry((line, minute)) {
                Entry::Occupied(mut there) => there.get_mut().add(count),
                Entry::Vacant(place) if room => place.insert(L::Count::default()).add(count),
                Entry::Vacant(_) => {}
            }
        }
    }

    /// The clock of the minutes.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn minute(&self) -> i64 {
        self.clock.unix().div_euclid(60)
    }

    fn lines(&self) -> MutexGuard<'_, Lines<L>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    impl Line for &'static str {
        type Count = u64;

        fn among_others(self) -> Self {
            "others"
        }
    }

    fn taken(aggregate: &Aggregate<&'static str>, all: bool) -> Vec<(&'static str, u64)> {
        let mut taken: Vec<_> = aggregate.take(all).into_iter().map(|counted| (counted.line, counted.count)).collect();
        taken.sort_unstable();
        taken
    }

    #[test]
    fn events_within_a_minute_are_one_line() {
        let clock = Clock::manual(datetime!(2026-01-01 00:00:10 UTC));
        let aggregate = Aggregate::new(10, clock.clone());
        for line in ["a", "a", "b"] {
            aggregate.add(line, 1);
        }
        assert_eq!(taken(&aggregate, false), []);
        clock.advance(time::Duration::MINUTE);
        aggregate.add("a", 1);
        let whole = aggregate.take(false);
        assert_eq!(whole.len(), 2);
        aggregate.put_back(whole);
        assert_eq!(taken(&aggregate, true), [("a", 1), ("a", 2), ("b", 1)]);
    }

    #[test]
    fn the_memory_is_bounded_and_nothing_goes_uncounted() {
        let aggregate = Aggregate::new(2, Clock::manual(datetime!(2026-01-01 00:00 UTC)));
        for line in ["a", "b", "c", "d", "a"] {
            aggregate.add(line, 1);
        }
        assert_eq!(taken(&aggregate, true), [("a", 2), ("b", 1), ("others", 2)]);
    }
}
