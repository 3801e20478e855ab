//! The newest changes of one kind of resource, in memory.
//!
//! Only the last change of each resource is returned, with the resource's current state: a stream that has not sent the earlier
//! changes yet does not need them. The oldest changes are dropped; a stream whose position is before them reads the outbox.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::Selection;
use crate::base::TenantId;

/// Maximum number of changes in memory.
pub(super) const CAPACITY: usize = 4096;

/// A change of a resource.
#[derive(Debug)]
pub(super) struct Change<T> {
    pub revision: i64,
    pub key: Arc<str>,
    pub tenant: Option<TenantId>,
    /// The state after it; `None` if the resource no longer exists.
    pub state: Option<Arc<T>>,
}

impl<T> Clone for Change<T> {
    fn clone(&self) -> Self {
        Self { revision: self.revision, key: self.key.clone(), tenant: self.tenant, state: self.state.clone() }
    }
}

/// The next change after a position.
#[derive(Debug)]
pub(super) enum Next<T> {
    Change(Change<T>),
    /// There is no change up to this revision.
    Nothing(i64),
    /// The position is before the start of the log, which is this revision.
    Behind(i64),
}

/// The changes after `start`, up to and including `head`.
#[derive(Debug)]
pub(super) struct Log<T> {
    start: i64,
    head: i64,
    /// How many times the database lost its newest events. This makes earlier positions invalid.
    rewinds: u64,
    changes: VecDeque<Change<T>>,
    /// The revision of the last change of each resource.
    newest: HashMap<Arc<str>, i64>,
    capacity: usize,
}

impl<T> Log<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { start: 0, head: 0, rewinds: 0, changes: VecDeque::new(), newest: HashMap::new(), capacity }
    }

    /// Removes all changes; the log continues after a revision.
    pub(super) fn restart(&mut self, at: i64) {
        (self.start, self.head) = (at, at);
        self.changes.clear();
        self.newest.clear();
    }

    /// Removes all changes, because the database lost its newest events.
    pub(super) fn rewind(&mut self, to: i64) {
        self.rewinds += 1;
        self.restart(to);
    }

    pub(super) fn rewinds(&self) -> u64 {
        self.rewinds
    }

    /// Adds changes in the order of their revisions, at most one per resource. They are all changes up to `head`.
    pub(super) fn append(&mut self, changes: impl IntoIterator<Item = Change<T>>, head: i64) {
        for change in changes {
            if let Some(older) = self.newest.insert(change.key.clone(), change.revision) {
                self.supersede(older);
            }
            self.changes.push_back(change);
        }
        self.head = head;
        while self.changes.len() > self.capacity {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.start = oldest.revision;
            if self.newest.get(&oldest.key) == Some(&oldest.revision) {
                self.newest.remove(&oldest.key);
            }
        }
    }

    /// The next change after a revision that a stream sends.
    pub(super) fn after(&self, revision: i64, selection: &Selection) -> Next<T> {
        if revision < self.start {
            return Next::Behind(self.start);
        }
        let first = self.changes.partition_point(|change| change.revision <= revision);
        let mut later = self.changes.range(first..);
        let next = later.find(|change| self.is_newest(change) && selection.takes(change.tenant, &change.key));
        next.map_or(Next::Nothing(self.head), |change| Next::Change(change.clone()))
    }

    /// Whether the log has a change of a resource.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.newest.contains_key(key)
    }

    fn is_newest(&self, change: &Change<T>) -> bool {
        self.newest.get(&change.key) == Some(&change.revision)
    }

    /// Drops the state of a change that is no longer the last one of its resource.
    fn supersede(&mut self, revision: i64) {
        if let Ok(at) = self.changes.binary_search_by_key(&revision, |change| change.revision)
            && let Some(change) = self.changes.get_mut(at)
        {
            change.state = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::WatchScope;

    fn change(revision: i64, key: &str) -> Change<i64> {
        Change { revision, key: key.into(), tenant: None, state: Some(Arc::new(revision)) }
    }

    fn log(capacity: usize, changes: &[(i64, &str)]) -> Log<i64> {
        let mut log = Log::new(capacity);
        for (revision, key) in changes {
            log.append([change(*revision, key)], *revision);
        }
        log
    }

    /// What a stream of everything gets after a revision.
    fn next(log: &Log<i64>, revision: i64) -> Next<i64> {
        log.after(revision, &WatchScope::Platform.into())
    }

    /// All that a stream sees from a position on.
    fn seen(log: &Log<i64>, at: i64) -> Vec<i64> {
        seen_of(log, &WatchScope::Platform.into(), at)
    }

    fn seen_of(log: &Log<i64>, selection: &Selection, mut at: i64) -> Vec<i64> {
        let mut seen = Vec::new();
        while let Next::Change(change) = log.after(at, selection) {
            assert_eq!(change.state.as_deref(), Some(&change.revision));
            at = change.revision;
            seen.push(at);
        }
        seen
    }

    #[test]
    fn only_the_last_change_of_a_resource_is_returned() {
        let log = log(10, &[(1, "a"), (2, "b"), (4, "a"), (5, "c"), (7, "a")]);
        assert_eq!(seen(&log, 0), [2, 5, 7]);
        assert_eq!(seen(&log, 2), [5, 7]);
        assert!(matches!(next(&log, 7), Next::Nothing(7)));
        let one = Selection::one(WatchScope::Platform, "b");
        assert_eq!((seen_of(&log, &one, 0), seen_of(&log, &one, 2)), (vec![2], vec![]));
        assert!(
            matches!(log.after(2, &one), Next::Nothing(7)),
            "a stream of one resource must skip the changes of others"
        );
        let states = log.changes.iter().filter(|change| change.state.is_some()).count();
        assert_eq!(states, 3, "a superseded state is kept in memory");
    }

    #[test]
    fn a_position_before_the_log_is_behind() {
        let mut log = log(2, &[(1, "a"), (2, "b"), (3, "c")]);
        assert!(matches!(next(&log, 0), Next::Behind(1)));
        assert_eq!(seen(&log, 1), [2, 3]);
        assert!(!log.holds("a") && log.holds("b"));
        log.append([], 9);
        assert!(matches!(next(&log, 3), Next::Nothing(9)));
        log.restart(20);
        assert!(matches!(next(&log, 9), Next::Behind(20)));
        assert!(matches!(next(&log, 20), Next::Nothing(20)) && !log.holds("c"));
    }

    #[test]
    fn many_changes_of_one_resource_do_not_exceed_the_capacity() {
        let mut log = Log::new(16);
        for revision in 1..=10_000 {
            log.append([change(revision, "a")], revision);
        }
        assert_eq!((log.changes.len(), log.newest.len()), (16, 1));
        assert_eq!(seen(&log, log.start), [10_000]);
    }
}
