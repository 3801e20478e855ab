//! Changes in a tenant, for calls that wait for one and then read what it changed. The outbox is read once for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::follower::{Demand, Follower, OpenStream};
use crate::{
    base::{Result, TenantId},
    store::{Resource, outbox::Event},
};

/// Maximum number of calls that read at the same time after a change. The others wait for their turn.
const READING: usize = 32;

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// The policies of devices, and what decides which ones they get.
    Policies,
    /// Gateways and their pools.
    Gateways,
}

impl Interest {
    const ALL: [Self; 2] = [Self::Policies, Self::Gateways];

    /// The kinds of resources that concern it. Those of callers are among them, so that a call whose caller loses its rights ends.
    fn resources(self) -> &'static [Resource] {
        match self {
            Self::Policies => &[
                Resource::Policy,
                Resource::Group,
                Resource::Device,
                Resource::Account,
                Resource::Gateway,
                Resource::TrustAnchors,
                Resource::Tenant,
            ],
            Self::Gateways => &[
                Resource::Gateway,
                Resource::GatewayPool,
                Resource::Group,
                Resource::Policy,
                Resource::TrustAnchors,
                Resource::Tenant,
            ],
        }
    }
}

/// The calls that wait, by tenant and interest.
type Waiting = HashMap<(TenantId, Interest), watch::Sender<()>>;

/// Wakes the calls that wait for a change.
pub struct Changes {
    demand: Demand,
    waiting: Mutex<Waiting>,
    reading: Arc<Semaphore>,
}

impl Changes {
    pub(super) fn new(demand: Demand) -> Self {
        Self { demand, waiting: Mutex::default(), reading: Arc::new(Semaphore::new(READING)) }
    }

    /// Notices the changes in a tenant from now on.
    pub fn of(self: &Arc<Self>, tenant: TenantId, interest: Interest) -> Waiter {
        let (open, place) = (OpenStream::new(&self.demand), (tenant, interest));
        let changed = self.waiting().entry(place).or_default().subscribe();
        Waiter { changes: self.clone(), place, changed, _open: open }
    }

    fn wake_all(&self) {
        for calls in self.waiting().values() {
            calls.send_replace(());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Follower for Changes {
    fn name(&self) -> &'static str {
        "changes"
    }

    async fn process(&self, events: &[Event], _: i64) -> Result<()> {
        let waiting = self.waiting();
        for event in events {
            let Some(tenant) = event.tenant else { continue };
            let concerned = |interest: &Interest| interest.resources().iter().any(|one| one.topic() == event.topic);
            for interest in Interest::ALL.into_iter().filter(concerned) {
                if let Some(calls) = waiting.get(&(tenant, interest)) {
                    calls.send_replace(());
                }
            }
        }
        Ok(())
    }

    fn restart(&self, _: i64) {
        self.wake_all();
    }

    fn rewind(&self, _: i64) {
        self.wake_all();
    }
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("waiting", &self.waiting().len()).finish_non_exhaustive()
    }
}

/// A call that waits for changes.
#[derive(Debug)]
pub struct Waiter {
    changes: Arc<Changes>,
    place: (TenantId, Interest),
    changed: watch::Receiver<()>,
    _open: OpenStream,
}

/// The turn of a call to read after a change.
#[derive(Debug)]
pub struct Turn {
    /// `None` if there are no turns, which never happens.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Waiter {
    /// Waits for the next change, and for a turn to read. Several changes in between count as one. Cancel safe.
    pub async fn next(&mut self) -> Turn {
        // Fails only if the sender is dropped, which exists as long as this waits.
        let _ = self.changed.changed().await;
        Turn { _permit: self.changes.reading.clone().acquire_owned().await.ok() }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.changes.waiting();
        // Its own receiver is still there.
        if waiting.get(&self.place).is_some_and(|calls| calls.receiver_count() <= 1) {
            waiting.remove(&self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn event(of: TenantId, resource: Resource) -> Event {
        Event { revision: 1, topic: resource.topic().to_owned(), tenant: Some(of), key: String::new() }
    }

    #[tokio::test]
    async fn a_change_wakes_those_that_it_concerns() {
        let changes = Arc::new(Changes::new(Demand::default()));
        let mut policies = changes.of(tenant(1), Interest::Policies);
        let mut gateways = changes.of(tenant(1), Interest::Gateways);
        let mut other = changes.of(tenant(2), Interest::Policies);
        changes.process(&[event(tenant(1), Resource::Device), event(tenant(1), Resource::Device)], 1).await.unwrap();
        policies.next().await;
        assert!(futures::poll!(Box::pin(policies.next())).is_pending());
        assert!(futures::poll!(Box::pin(gateways.next())).is_pending());
        assert!(futures::poll!(Box::pin(other.next())).is_pending());
        changes.restart(2);
        policies.next().await;
        gateways.next().await;
        other.next().await;
    }

    #[tokio::test]
    async fn nothing_is_kept_for_calls_that_ended() {
        let changes = Arc::new(Changes::new(Demand::default()));
        let first = changes.of(tenant(1), Interest::Policies);
        let second = changes.of(tenant(1), Interest::Policies);
        assert_eq!(*changes.demand.borrow(), 2);
        drop(first);
        assert_eq!(changes.waiting().len(), 1);
        drop(second);
        assert!(changes.waiting().is_empty());
        assert_eq!(*changes.demand.borrow(), 0);
    }

    #[tokio::test]
    async fn only_some_read_at_once() {
        let changes = Arc::new(Changes::new(Demand::default()));
        let mut waiters: Vec<_> = (0..READING + 1).map(|_| changes.of(tenant(1), Interest::Policies)).collect();
        changes.wake_all();
        let mut turns = Vec::new();
        for waiter in &mut waiters[..READING] {
            turns.push(waiter.next().await);
        }
        let mut last = Box::pin(waiters[READING].next());
        assert!(futures::poll!(&mut last).is_pending());
        turns.clear();
        last.await;
    }
}
