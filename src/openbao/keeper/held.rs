//! The leases in memory, and when each needs something.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::Bounds;
use crate::openbao::{address::Name, database::Credentials};

/// A login that is valid for less than this is replaced by a new one, unless its whole time is so short that a third of it is less.
const LEAST: Duration = Duration::from_secs(60);
/// If too many leases are held, this part of them is revoked at once, so that a full keeper does not search for each new lease.
const EVICTED_PART: usize = 16;

/// What a lease needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Renew { by: Duration },
    Revoke,
}

/// A lease that needs something now.
#[derive(Debug)]
pub(super) struct Due {
    pub key: u64,
    pub lease: String,
    pub task: Task,
    /// Consecutive failures.
    pub failures: u32,
}

pub(super) struct Held {
    bounds: Bounds,
    leases: HashMap<u64, Entry>,
    /// The current lease of each role.
    roles: HashMap<Name, u64>,
    /// When a lease needs something. An element whose time is not that of its lease is outdated.
    times: BinaryHeap<Reverse<(Instant, u64)>>,
    next: u64,
    ended: bool,
}

struct Entry {
    role: Name,
    credentials: Arc<Credentials>,
    /// The time that was granted first, which renewals ask for again.
    duration: Duration,
    expires: Instant,
    used: Instant,
    due: Instant,
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is renewed.
    Kept,
    /// It is left alone until it expires, because work may still use it. Only the end of the server revokes it.
    Retired,
    /// It is being revoked.
    Revoked,
}

impl Held {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, leases: HashMap::new(), roles: HashMap::new(), times: BinaryHeap::new(), next: 0, ended: false }
    }

    pub fn count(&self) -> usize {
        self.leases.len()
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The current login of a role. One that expires soon, or that ends with an earlier token, is retired.
    pub fn current(&mut self, role: &Name, generation: u64, now: Instant) -> Option<Arc<Credentials>> {
        let key = *self.roles.get(role)?;
        let entry = self.leases.get_mut(&key)?;
        let left = entry.expires.saturating_duration_since(now);
        if entry.credentials.generation == generation && left >= LEAST.min(entry.duration / 3) {
            entry.used = now;
            return Some(entry.credentials.clone());
        }
        self.retire(key);
        None
    }

    /// Adds a lease, which becomes the current one of its role. Returns false, and adds nothing, after the end.
    pub fn insert(&mut self, role: &Name, credentials: Arc<Credentials>, begun: Instant) -> bool {
        if self.ended {
            return false;
        }
        if let Some(before) = self.roles.get(role).copied() {
            self.retire(before);
        }
        // Those that are retired or being revoked are few, and end soon.
        if self.roles.len() >= self.bounds.most {
            self.make_room(begun);
        }
        let key = self.next;
        self.next += 1;
        let duration = credentials.lease.duration;
        let (expires, renewable) = (begun + duration, credentials.lease.renewable);
        let state = if renewable { State::Kept } else { State::Retired };
        let due = if renewable { begun + duration * 2 / 3 } else { expires };
        let entry = Entry { role: role.clone(), credentials, duration, expires, used: begun, due, failures: 0, state };
        self.leases.insert(key, entry);
        self.roles.insert(role.clone(), key);
        self.times.push(Reverse((due, key)));
        true
    }

    /// Takes the login of a role out of use, to be revoked now.
    pub fn evict(&mut self, role: &Name) -> Option<Due> {
        let key = self.roles.remove(role)?;
        let entry = self.leases.get_mut(&key)?;
        entry.state = State::Revoked;
        Some(Due { key, lease: entry.credentials.lease.id.clone(), task: Task::Revoke, failures: entry.failures })
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.times.peek().is_some_and(|Reverse((at, _))| *at <= now)
    }

    /// The leases that need something now, at most `most`. Those that have expired are dropped.
    pub fn take_due(&mut self, now: Instant, most: usize) -> Vec<Due> {
        let mut due = Vec::new();
        while due.len() < most {
            let Some(Reverse((at, key))) = self.times.peek().copied().filter(|Reverse((at, _))| *at <= now) else {
                break;
            };
            self.times.pop();
            let Some(entry) = self.leases.get_mut(&key).filter(|entry| entry.due == at) else { continue };
            if entry.expires <= now {
                self.remove(key);
                continue;
            }
            if entry.state == State::Kept && now.saturating_duration_since(entry.used) >= self.bounds.idle {
                entry.state = State::Revoked;
                self.forget_role(key);
            }
            if let Some(task) = self.task(key) {
                due.push(task);
            }
        }
        due
    }

    /// What a lease needs; a retired one waits for its end.
    fn task(&mut self, key: u64) -> Option<Due> {
        let entry = self.leases.get(&key)?;
        let task = match entry.state {
            State::Kept => Task::Renew { by: entry.duration },
            State::Revoked => Task::Revoke,
            State::Retired => {
                let expires = entry.expires;
                self.at(key, expires);
                return None;
            }
        };
        Some(Due { key, lease: entry.credentials.lease.id.clone(), task, failures: entry.failures })
    }

    /// Records a renewal. If it grants less than half of the time, the lease reaches its longest life and is retired.
    pub fn renewed(&mut self, key: u64, granted: Duration, begun: Instant) {
        let Some(entry) = self.leases.get_mut(&key) else { return };
        (entry.expires, entry.failures) = (begun + granted, 0);
        if granted < entry.duration / 2 {
            self.retire(key);
        } else if entry.state == State::Kept {
            self.at(key, begun + granted * 2 / 3);
        }
    }

    /// Leaves a lease alone until it expires; the next caller of its role gets a new one.
    pub fn retire(&mut self, key: u64) {
        self.forget_role(key);
        let Some(entry) = self.leases.get_mut(&key) else { return };
        if entry.state == State::Kept {
            entry.state = State::Retired;
            let expires = entry.expires;
            self.at(key, expires);
        }
    }

    /// Tries again at this time, or drops the lease when it expires.
    pub fn delay(&mut self, key: u64, until: Instant) {
        let Some(entry) = self.leases.get_mut(&key) else { return };
        entry.failures = entry.failures.saturating_add(1);
        let at = until.min(entry.expires);
        self.at(key, at);
    }

    pub fn remove(&mut self, key: u64) {
        self.forget_role(key);
        self.leases.remove(&key);
    }

    /// All leases, to be revoked. Nothing is added from now on.
    pub fn end(&mut self) -> Vec<Due> {
        self.ended = true;
        self.roles.clear();
        self.times.clear();
        let all = self.leases.drain();
        all.map(|(key, entry)| Due { key, lease: entry.credentials.lease.id.clone(), task: Task::Revoke, failures: 0 })
            .collect()
    }

    fn at(&mut self, key: u64, at: Instant) {
        let Some(entry) = self.leases.get_mut(&key) else { return };
        entry.due = at;
        self.times.push(Reverse((at, key)));
        // Outdated elements are dropped when their time comes; before they outnumber the leases, all at once.
        if self.times.len() > 2 * self.leases.len() + 64 {
            let leases = &self.leases;
            self.times.retain(|Reverse((at, key))| leases.get(key).is_some_and(|entry| entry.due == *at));
        }
    }

    /// Removes a lease from its role, if it is the current one.
    fn forget_role(&mut self, key: u64) {
        if let Some(entry) = self.leases.get(&key)
            && self.roles.get(&entry.role) == Some(&key)
        {
            self.roles.remove(&entry.role);
        }
    }

    /// Has a part of the leases revoked: those that were not used for the longest time.
    fn make_room(&mut self, now: Instant) {
        let mut by_use: Vec<_> =
            self.roles.values().filter_map(|key| Some((self.leases.get(key)?.used, *key))).collect();
        by_use.sort_unstable();
        by_use.truncate(self.bounds.most / EVICTED_PART + 1);
        for (_, key) in by_use {
            self.forget_role(key);
            if let Some(entry) = self.leases.get_mut(&key) {
                entry.state = State::Revoked;
                self.at(key, now);
            }
        }
    }
}

#[cfg(test)]
impl Held {
    /// The number of recorded times, including outdated ones.
    pub fn pending(&self) -> usize {
        self.times.len()
    }
}
