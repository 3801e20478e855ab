//! The newest changes of one kind of resource, in memory.
//!
//! Only the last change of each resource is given out, with the state that the resource has now: what happened to it before does
//! not matter to anybody who has not seen it yet. Older changes are dropped; a stream that is behind them reads the outbox.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::Reach;
use crate::base::TenantId;

/// Most changes that are kept.
pub(super) const CAPACITY: usize = 4096;

/// A change of a resource.
#[derive(Debug)]
pub(super) struct Change<T> {
    pub revision: i64,
    pub key: Arc<str>,
    pub tenant: Option<TenantId>,
    /// The state after it; `None` if the resource does not exist any more.
    pub state: Option<Arc<T>>,
}

impl<T> Clone for Change<T> {
    fn clone(&self) -> Self {
        Self { revision: self.revision, key: self.key.clone(), tenant: self.tenant, state: self.state.clone() }
    }
}

/// What comes after a position.
#[derive(Debug)]
pub(super) enum Next<T> {
    /// This change.
    Change(Change<T>),
    /// Nothing, through this revision.
    Nothing(i64),
    /// Unknown: the log begins after this revision.
    Behind(i64),
}

/// The changes after `start`, through `head`.
#[derive(Debug)]
pub(super) struct Log<T> {
    start: i64,
    head: i64,
    /// How often the database lost its newest events. Positions of before mean nothing after that.
    rewinds: u64,
    changes: VecDeque<Change<T>>,
    /// The last change of each resource in it.
    newest: HashMap<Arc<str>, i64>,
    capacity: usize,
}

impl<T> Log<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { start: 0, head: 0, rewinds: 0, changes: VecDeque::new(), newest: HashMap::new(), capacity }
    }

    /// Forgets everything; the log goes on after a revision.
    pub(super) fn restart(&mut self, at: i64) {
        (self.start, self.head) = (at, at);
        self.changes.clear();
        self.newest.clear();
    }

    /// Forgets everything, because the database lost its newest events.
    pub(super) fn rewind(&mut self, to: i64) {
        self.rewinds += 1;
        self.restart(to);
    }

    pub(super) fn rewinds(&self) -> u64 {
        self.rewinds
    }

    /// Adds changes with growing revisions, at most one of each resource. All that happened through `head` is known then.
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

    /// What comes after a revision for a stream that reaches so far.
    pub(super) fn after(&self, revision: i64, reach: Reach) -> Next<T> {
        if revision < self.start {
            return Next::Behind(self.start);
        }
        let first = self.changes.partition_point(|change| change.revision <= revision);
        let mut later = self.changes.range(first..);
        let next = later.find(|change| self.is_newest(change) && reach.covers(change.tenant));
        next.map_or(Next::Nothing(self.head), |change| Next::Change(change.clone()))
    }

    /// Whether a later change of a resource is in the log.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.newest.contains_key(key)
    }

    fn is_newest(&self, change: &Change<T>) -> bool {
        self.newest.get(&change.key) == Some(&change.revision)
    }

    /// Lets go of the state of a change that is not given out any more.
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

    /// All that a stream sees from a position on.
    fn seen(log: &Log<i64>, mut at: i64) -> Vec<i64> {
        let mut seen = Vec::new();
        while let Next::Change(change) = log.after(at, Reach::Everything) {
            assert_eq!(change.state.as_deref(), Some(&change.revision));
            at = change.revision;
            seen.push(at);
        }
        seen
    }

    #[test]
    fn only_the_last_change_of_a_resource_is_given_out() {
        let log = log(10, &[(1, "a"), (2, "b"), (4, "a"), (5, "c"), (7, "a")]);
        assert_eq!(seen(&log, 0), [2, 5, 7]);
        assert_eq!(seen(&log, 2), [5, 7]);
        assert!(matches!(log.after(7, Reach::Everything), Next::Nothing(7)));
        let states = log.changes.iter().filter(|change| change.state.is_some()).count();
        assert_eq!(states, 3, "what nobody sees any more is kept");
    }

    #[test]
    fn a_position_before_the_log_is_behind() {
        let mut log = log(2, &[(1, "a"), (2, "b"), (3, "c")]);
        assert!(matches!(log.after(0, Reach::Everything), Next::Behind(1)));
        assert_eq!(seen(&log, 1), [2, 3]);
        assert!(!log.holds("a") && log.holds("b"));
        log.append([], 9);
        assert!(matches!(log.after(3, Reach::Everything), Next::Nothing(9)));
        log.restart(20);
        assert!(matches!(log.after(9, Reach::Everything), Next::Behind(20)));
        assert!(matches!(log.after(20, Reach::Everything), Next::Nothing(20)) && !log.holds("c"));
    }

    #[test]
    fn however_often_a_resource_changes_the_log_stays_small() {
        let mut log = Log::new(16);
        for revision in 1..=10_000 {
            log.append([change(revision, "a")], revision);
        }
        assert_eq!((log.changes.len(), log.newest.len()), (16, 1));
        assert_eq!(seen(&log, log.start), [10_000]);
    }
}
