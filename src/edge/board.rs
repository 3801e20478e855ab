//! The topics that streams follow, and which of them are to be read again.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Material, State, Topic, slot::Slot};
use crate::{
    base::{IdKind, Result, TenantId, TenantScope},
    fleet::Heartbeat,
    store::{Resource, Store, outbox::Event},
    streams::{Demand, Follower, OpenStream},
    trust::Trust,
};

/// The topics that are followed on this server. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    trust: Trust,
    /// How often gateways report, for their configurations.
    heartbeat: Heartbeat,
    demand: Demand,
    tenants: Mutex<HashMap<TenantId, Followed>>,
    stale: Mutex<HashMap<TenantId, HashSet<Topic>>>,
    /// The tenants whose topics are being read.
    reading: Mutex<HashSet<TenantId>>,
    /// Rings when a topic becomes stale.
    bell: Notify,
    /// Rings when a state is due before all others.
    due: Notify,
}

/// The followed topics of a tenant.
#[derive(Debug)]
pub(super) struct Followed {
    scope: TenantScope,
    pub(super) slots: HashMap<Topic, Arc<Slot>>,
    /// When the first of their states is due.
    pub(super) due: Option<OffsetDateTime>,
    /// The states in use, by digest, so that topics with the same one share its bytes.
    materials: HashMap<Arc<str>, Weak<Material>>,
}

impl Followed {
    fn of(scope: TenantScope) -> Self {
        Self { scope, slots: HashMap::new(), due: None, materials: HashMap::new() }
    }

    /// The same material, if it is in use already.
    fn share(&mut self, material: Arc<Material>) -> Arc<Material> {
        if let Some(known) = self.materials.get(&material.digest).and_then(Weak::upgrade)
            && known.number == material.number
        {
            return known;
        }
        self.materials.retain(|_, known| known.strong_count() > 0);
        self.materials.insert(material.digest.clone(), Arc::downgrade(&material));
        material
    }

    fn has_devices(&self) -> bool {
        self.slots.keys().any(|topic| matches!(topic, Topic::DevicePolicy { .. }))
    }
}

/// A topic that a stream follows, until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    board: Board,
    slot: Arc<Slot>,
    bell: u64,
    _open: OpenStream,
}

impl Subscription {
    /// The newest state.
    pub fn state(&self) -> State {
        self.slot.state()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.board.leave(&self.slot, self.bell);
    }
}

impl Board {
    pub fn new(store: &Store, trust: &Trust, heartbeat: Heartbeat, demand: Demand) -> Self {
        let (tenants, stale, reading) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner {
            store: store.clone(),
            trust: trust.clone(),
            heartbeat,
            demand,
            tenants,
            stale,
            reading,
            bell: Notify::new(),
            due: Notify::new(),
        }))
    }

    /// Follows a topic of a tenant. `bell` rings when its state is known and after each change.
    pub fn follow(&self, scope: TenantScope, topic: Topic, bell: &Arc<Notify>) -> Subscription {
        // Counted first: the outbox is read from now on, so no change after the first read is missed.
        let open = self.0.demand.open();
        let tenant = scope.tenant();
        let (slot, number) = {
            let mut tenants = self.tenants();
            let followed = tenants.entry(tenant).or_insert_with(|| Followed::of(scope));
            let slot = followed.slots.entry(topic).or_insert_with(|| Arc::new(Slot::new(tenant, topic))).clone();
            let number = slot.follow(bell.clone());
            (slot, number)
        };
        if slot.state() == State::Unknown {
            self.mark(tenant, [topic]);
        }
        Subscription { board: self.clone(), slot, bell: number, _open: open }
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn heartbeat(&self) -> Heartbeat {
        self.0.heartbeat
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.0.trust
    }

    /// The same state, with the bytes of topics that have it already.
    pub(super) fn shared(&self, tenant: TenantId, state: State) -> State {
        match (state, self.tenants().get_mut(&tenant)) {
            (State::Known(material), Some(followed)) => State::Known(followed.share(material)),
            (state, _) => state,
        }
    }

    /// The slot of a topic, if it is followed.
    pub(super) fn followed(&self, tenant: TenantId, topic: Topic) -> Option<Arc<Slot>> {
        self.tenants().get(&tenant)?.slots.get(&topic).cloned()
    }

    /// Waits until a topic is stale.
    pub(super) async fn until_stale(&self) {
        self.0.bell.notified().await;
    }

    /// Takes the stale topics that are still followed, of tenants that are not being read. Their reading ends with [`Self::read_through`].
    pub(super) fn take_stale(&self) -> Vec<(TenantScope, Vec<Arc<Slot>>)> {
        let stale: Vec<_> = {
            let (mut stale, mut reading) = (self.stale(), self.reading());
            stale.extract_if(|tenant, _| reading.insert(*tenant)).collect()
        };
        let tenants = self.tenants();
        let of_tenant = |(tenant, topics): (TenantId, HashSet<Topic>)| {
            let Some(followed) = tenants.get(&tenant) else {
                self.reading().remove(&tenant);
                return None;
            };
            let slots = topics.iter().filter_map(|topic| followed.slots.get(topic).cloned()).collect();
            Some((followed.scope, slots))
        };
        stale.into_iter().filter_map(of_tenant).collect()
    }

    /// The topics of a tenant that were taken have been read.
    pub(super) fn read_through(&self, tenant: TenantId) {
        self.reading().remove(&tenant);
        // Those that became stale meanwhile were left.
        self.0.bell.notify_one();
    }

    /// Topics of a tenant are to be read again.
    pub(super) fn mark(&self, tenant: TenantId, topics: impl IntoIterator<Item = Topic>) {
        self.stale().entry(tenant).or_default().extend(topics);
        self.0.bell.notify_one();
    }

    /// All topics are to be read again.
    pub(super) fn mark_all(&self) {
        self.mark_where(None, |_| true);
    }

    pub(super) fn due_bell(&self) -> &Notify {
        &self.0.due
    }

    pub(super) fn mark_where(&self, tenant: Option<TenantId>, concerns: impl Fn(&Slot) -> bool) {
        let marked: Vec<_> = {
            let tenants = self.tenants();
            let of_tenant = tenants.iter().filter(|(id, _)| tenant.is_none_or(|tenant| tenant == **id));
            let slots = of_tenant.flat_map(|(_, followed)| followed.slots.values());
            slots.filter(|slot| concerns(slot)).map(|slot| (slot.tenant, slot.topic)).collect()
        };
        for (tenant, topic) in marked {
            self.mark(tenant, [topic]);
        }
    }

    /// The policies of the devices that are or were in a group are to be read again.
    async fn mark_group(&self, tenant: TenantId, group: Uuid) -> Result<()> {
        let scope =
            self.tenants().get(&tenant).filter(|followed| followed.has_devices()).map(|followed| followed.scope);
        let Some(scope) = scope else { return Ok(()) };
        let members: HashSet<Uuid> =
            self.0.store.tenant(scope).devices().of_members(group).await?.into_iter().collect();
        // Groups that are being read now may be those before the change.
        let is_being_read = self.reading().contains(&tenant);
        self.mark_where(Some(tenant), |slot| match slot.topic {
            Topic::DevicePolicy { device } => is_being_read || members.contains(&device) || slot.was_in(group),
            _ => false,
        });
        Ok(())
    }

    fn leave(&self, slot: &Arc<Slot>, bell: u64) {
        let mut tenants = self.tenants();
        if !slot.leave(bell) {
            return;
        }
        let Entry::Occupied(mut followed) = tenants.entry(slot.tenant) else { return };
        // It may have been followed again by then, as another slot.
        if followed.get().slots.get(&slot.topic).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            followed.get_mut().slots.remove(&slot.topic);
        }
        if followed.get().slots.is_empty() {
            followed.remove();
        }
    }

    pub(super) fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Followed>> {
        self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> MutexGuard<'_, HashSet<TenantId>> {
        self.0.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stale(&self) -> MutexGuard<'_, HashMap<TenantId, HashSet<Topic>>> {
        self.0.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one topic that a change concerns, if its key says which.
fn topic_of(event: &Event) -> Option<Topic> {
    let is = |resource: Resource| resource.topic() == event.topic;
    if is(Resource::Device) {
        IdKind::Device.read(&event.key).map(|device| Topic::DevicePolicy { device })
    } else if is(Resource::Gateway) {
        IdKind::Gateway.read(&event.key).map(|gateway| Topic::DeploymentConfig { gateway })
    } else if is(Resource::KillList) {
        IdKind::Gateway.read(&event.key).map(|gateway| Topic::KillList { gateway })
    } else if is(Resource::SpcBundle) {
        Some(Topic::SpcBundle)
    } else {
        None
    }
}

/// Whether a change that names no topic may concern one of its tenant.
fn concerns(event: &Event, topic: Topic) -> bool {
    let is = |resource: Resource| resource.topic() == event.topic;
    // After a change of keys, anything may have to be signed again.
    let of_all = is(Resource::TrustAnchors) || is(Resource::Tenant);
    of_all
        || match topic {
            Topic::GatewayPolicy { .. } | Topic::DevicePolicy { .. } => is(Resource::Policy),
            Topic::DeploymentConfig { .. } => is(Resource::GatewayPool),
            Topic::TrustAnchors | Topic::SpcBundle | Topic::KillList { .. } => false,
        }
}

/// Whether changes that name no topic may concern any.
fn is_wide(event: &Event) -> bool {
    let wide = [Resource::TrustAnchors, Resource::Tenant, Resource::Policy, Resource::GatewayPool];
    wide.iter().any(|resource| resource.topic() == event.topic)
}

#[async_trait]
impl Follower for Board {
    fn name(&self) -> &'static str {
        "edge"
    }

    async fn process(&self, events: &[Event], _: i64) -> Result<()> {
        for event in events {
            let Some(tenant) = event.tenant else { continue };
            if let Some(topic) = topic_of(event) {
                if self.followed(tenant, topic).is_some() {
                    self.mark(tenant, [topic]);
                }
            } else if is_wide(event) {
                self.mark_where(Some(tenant), |slot| concerns(event, slot.topic));
            } else if event.topic == Resource::Group.topic()
                && let Some(group) = IdKind::Group.read(&event.key)
            {
                self.mark_group(tenant, group).await?;
            }
        }
        Ok(())
    }

    fn restart(&self, _: i64) {
        self.mark_all();
    }

    fn rewind(&self, _: i64) {
        self.mark_all();
    }
}
