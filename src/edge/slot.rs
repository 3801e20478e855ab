//! The state of one topic, and the bells of the streams that follow it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use uuid::Uuid;

use super::{State, Topic};
use crate::base::TenantId;

/// The newest state of a topic.
#[derive(Debug)]
pub(super) struct Slot {
    pub tenant: TenantId,
    pub topic: Topic,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// The groups of a device, as its policy was resolved.
    groups: Vec<Uuid>,
    /// By number, so that a stream can be removed.
    bells: HashMap<u64, Arc<Notify>>,
    next: u64,
}

impl Slot {
    pub fn new(tenant: TenantId, topic: Topic) -> Self {
        Self { tenant, topic, inner: Mutex::default() }
    }

    pub fn state(&self) -> State {
        self.lock().state.clone()
    }

    /// Replaces the state, and wakes the streams if it is another one.
    pub fn set(&self, state: State) {
        let mut inner = self.lock();
        if inner.state != state {
            inner.state = state;
            // A bell keeps one ring for the next wait.
            inner.bells.values().for_each(|bell| bell.notify_one());
        }
    }

    /// Wakes the streams.
    pub fn ring(&self) {
        self.lock().bells.values().for_each(|bell| bell.notify_one());
    }

    /// Notes the groups of a device.
    pub fn set_groups(&self, groups: Vec<Uuid>) {
        self.lock().groups = groups;
    }

    /// Whether the device was in a group.
    pub fn was_in(&self, group: Uuid) -> bool {
        self.lock().groups.contains(&group)
    }

    /// Rings a bell after each change, until it is removed by its number.
    pub fn follow(&self, bell: Arc<Notify>) -> u64 {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.bells.insert(number, bell);
        number
    }

    /// Removes a bell. Returns whether it was the last one.
    pub fn leave(&self, number: u64) -> bool {
        let mut inner = self.lock();
        inner.bells.remove(&number);
        inner.bells.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
