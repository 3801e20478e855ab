//! Changes in a tenant, for calls that wait for one and then read what it changed. The outbox is read once for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{Demand, Follower, OpenStream};
use crate::{
    base::{Result, TenantId},
    store::{Resource, outbox::Event},
};

/// Maximum number of calls that read at the same time after a change. The others wait for their turn.
const READING: usize = 32;

/// What a call waits for: any change of these kinds of resources in its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// The policies of devices, and what decides which ones they get.
    Policies,
    /// The pools of gateways.
    Pools,
    /// The gateways that devices may choose.
    Directory,
    /// The trust anchors.
    Anchors,
    /// The revocations of security policy certificates.
    Spcs,
    /// Everything that a gateway needs.
    Materials,
    /// Which policies gateways should have, and what they have said about them.
    Rollout,
}

impl Interest {
    fn resources(self) -> &'static [Resource] {
        match self {
            Self::Policies => &[Resource::Policy, Resource::Group, Resource::TrustAnchors, Resource::Tenant],
            Self::Anchors => &[Resource::TrustAnchors, Resource::Tenant],
            Self::Spcs => &[Resource::SpcBundle, Resource::TrustAnchors, Resource::Tenant],
            Self::Materials => &[
                Resource::Policy,
                Resource::GatewayPool,
                Resource::SpcBundle,
                Resource::TrustAnchors,
                Resource::Tenant,
            ],
            Self::Directory => &[
                Resource::GatewayPool,
                Resource::Gateway,
                Resource::Policy,
                Resource::Group,
                Resource::TrustAnchors,
                Resource::Tenant,
            ],
            Self::Rollout => &[Resource::Policy, Resource::Gateway, Resource::PolicyRollout],
            Self::Pools => &[Resource::GatewayPool, Resource::TrustAnchors, Resource::Tenant],
        }
    }
}

/// A waiting call, as the follower sees it.
struct Call {
    interest: Interest,
    /// The keys of resources whose changes concern this call.
    keys: Vec<String>,
    changed: Arc<Notify>,
}

/// The calls that wait, by tenant and number.
#[derive(Default)]
struct Waiting {
    calls: HashMap<TenantId, HashMap<u64, Call>>,
    last: u64,
}

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

    /// Notices the changes in a tenant from now on: those of an interest, and those of the resources with these keys.
    pub fn of(self: &Arc<Self>, tenant: TenantId, interest: Interest, keys: Vec<String>) -> Waiter {
        let (open, changed) = (self.demand.open(), Arc::new(Notify::new()));
        let call = Call { interest, keys, changed: changed.clone() };
        let mut waiting = self.waiting();
        waiting.last += 1;
        let number = waiting.last;
        waiting.calls.entry(tenant).or_default().insert(number, call);
        drop(waiting);
        Waiter { changes: self.clone(), tenant, number, changed, _open: open }
    }

    fn wake_all(&self) {
        self.waiting().calls.values().flat_map(HashMap::values).for_each(|call| call.changed.notify_one());
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    fn is_concerned(&self, event: &Event) -> bool {
        self.interest.resources().iter().any(|resource| resource.topic() == event.topic)
            || self.keys.contains(&event.key)
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
            let calls = event.tenant.and_then(|tenant| waiting.calls.get(&tenant));
            let concerned = calls.into_iter().flat_map(HashMap::values).filter(|call| call.is_concerned(event));
            concerned.for_each(|call| call.changed.notify_one());
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
        f.debug_struct("Changes").field("tenants", &self.waiting().calls.len()).finish_non_exhaustive()
    }
}

/// A call that waits for changes.
#[derive(Debug)]
pub struct Waiter {
    changes: Arc<Changes>,
    tenant: TenantId,
    number: u64,
    changed: Arc<Notify>,
    _open: OpenStream,
}

/// The turn of a call to read after a change.
#[derive(Debug)]
pub struct Turn {
    /// `None` if there are no turns, which never happens.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Waiter {
    /// Waits for the next change, and for a turn to read. Several changes in between count as one. After a cancelled wait, a
    /// change may be missed.
    pub async fn next(&mut self) -> Turn {
        self.changed().await;
        self.turn().await
    }

    /// Waits for the next change, without a turn. Cancel safe.
    pub async fn changed(&mut self) {
        self.changed.notified().await;
    }

    /// Waits for a turn to read, without a change.
    pub async fn turn(&self) -> Turn {
        Turn { _permit: self.changes.reading.clone().acquire_owned().await.ok() }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.changes.waiting();
        if let Some(calls) = waiting.calls.get_mut(&self.tenant) {
            calls.remove(&self.number);
            if calls.is_empty() {
                waiting.calls.remove(&self.tenant);
            }
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

    fn event(of: TenantId, resource: Resource, key: &str) -> Event {
        Event { revision: 1, topic: resource.topic().to_owned(), tenant: Some(of), key: key.to_owned() }
    }

    fn is_woken(waiter: &mut Waiter) -> bool {
        futures::FutureExt::now_or_never(waiter.next()).is_some()
    }

    #[tokio::test]
    async fn a_change_wakes_those_that_it_concerns() {
        let changes = Arc::new(Changes::new(Demand::new()));
        let mut policies = changes.of(tenant(1), Interest::Policies, vec!["dev_1".to_owned()]);
        let mut pools = changes.of(tenant(1), Interest::Pools, Vec::new());
        let mut other = changes.of(tenant(2), Interest::Policies, Vec::new());
        for (changed, expected) in [
            (event(tenant(1), Resource::Group, "grp_1"), [true, false, false]),
            (event(tenant(1), Resource::Device, "dev_1"), [true, false, false]),
            (event(tenant(1), Resource::Device, "dev_2"), [false, false, false]),
            (event(tenant(1), Resource::TrustAnchors, "1"), [true, true, false]),
            (event(tenant(2), Resource::Policy, "pol_1"), [false, false, true]),
        ] {
            changes.process(&[changed.clone(), changed.clone()], 1).await.unwrap();
            let woken = [&mut policies, &mut pools, &mut other].map(is_woken);
            assert_eq!(woken, expected, "{changed:?}");
        }
        changes.restart(2);
        assert_eq!([&mut policies, &mut pools, &mut other].map(is_woken), [true; 3]);
    }

    #[tokio::test]
    async fn nothing_is_kept_for_calls_that_ended() {
        let changes = Arc::new(Changes::new(Demand::new()));
        let first = changes.of(tenant(1), Interest::Policies, Vec::new());
        let second = changes.of(tenant(1), Interest::Policies, Vec::new());
        assert_eq!(changes.demand.count(), 2);
        drop(first);
        assert_eq!(changes.waiting().calls[&tenant(1)].len(), 1);
        drop(second);
        assert!(changes.waiting().calls.is_empty());
        assert_eq!(changes.demand.count(), 0);
    }

    #[tokio::test]
    async fn only_some_read_at_once() {
        let changes = Arc::new(Changes::new(Demand::new()));
        let of = |_| changes.of(tenant(1), Interest::Policies, Vec::new());
        let mut waiters: Vec<_> = (0..=READING).map(of).collect();
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
