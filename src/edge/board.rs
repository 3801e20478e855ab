//! The topics that streams follow, and which of them are to be read again.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::{
    Material, State, Topic,
    concern::{concerns, device_of, is_wide, topics_of},
    slot::Slot,
};
use crate::{
    base::{Drain, IdKind, Result, TenantId, TenantScope},
    fleet::Heartbeat,
    store::{Resource, Store, outbox::Event},
    streams::{Demand, Follower, OpenStream, Places},
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
    /// Of the streams of callers of tenants.
    places: Places,
    tenants: Mutex<HashMap<TenantId, Followed>>,
    stale: Mutex<HashMap<TenantId, HashSet<Topic>>>,
    /// The tenants whose topics are being read, and those of their devices.
    reading: Mutex<HashMap<TenantId, HashSet<Topic>>>,
    /// Rings when a topic becomes stale.
    bell: Notify,
    /// Rings when a state is due before all others.
    due: Notify,
    /// How many policies of devices were resolved.
    resolved: AtomicU64,
}

/// The followed topics of a tenant.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) scope: TenantScope,
    pub(super) slots: HashMap<Topic, Arc<Slot>>,
    /// When the first of their states is due.
    pub(super) due: Option<OffsetDateTime>,
    /// The states in use, by digest, so that topics with the same one share its bytes.
    materials: HashMap<Arc<str>, Weak<Material>>,
    /// At how many of them those are removed that are not in use.
    sweep_at: usize,
}

/// The number of topics of single gateways, of each kind, that are read together.
const PART: usize = 256;
/// The least number of states at which that is done.
const SWEEP_AT: usize = 64;

impl Followed {
    fn of(scope: TenantScope) -> Self {
        Self { scope, slots: HashMap::new(), due: None, materials: HashMap::new(), sweep_at: SWEEP_AT }
    }

    /// The same material, if it is in use already.
    fn share(&mut self, material: Arc<Material>) -> Arc<Material> {
        if let Some(known) = self.materials.get(&material.digest).and_then(Weak::upgrade)
            && known.number == material.number
        {
            return known;
        }
        // Only when their number has doubled: each gateway has a state of its own, and all may come at once.
        if self.materials.len() >= self.sweep_at {
            self.materials.retain(|_, known| known.strong_count() > 0);
            self.sweep_at = SWEEP_AT.max(2 * self.materials.len());
        }
        self.materials.insert(material.digest.clone(), Arc::downgrade(&material));
        material
    }

    pub(super) fn has_devices(&self) -> bool {
        self.slots.keys().any(|topic| device_of(*topic).is_some())
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
            places: Places::default(),
            tenants,
            stale,
            reading,
            bell: Notify::new(),
            due: Notify::new(),
            resolved: AtomicU64::new(0),
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

    /// Wakes all streams when the drain begins: to wait for it, each would take a lock that all share, at each event.
    pub async fn ring_at(&self, drain: &Drain) {
        drain.draining().await;
        self.tenants().values().flat_map(|followed| followed.slots.values()).for_each(|slot| slot.ring());
    }

    /// The places of streams, also of those that follow no topic.
    pub fn places(&self) -> &Places {
        &self.0.places
    }

    /// How many policies of devices were resolved since the start: the work of a change.
    pub fn resolved(&self) -> u64 {
        self.0.resolved.load(Ordering::Relaxed)
    }

    pub(super) fn count_resolved(&self, devices: usize) {
        self.0.resolved.fetch_add(devices as u64, Ordering::Relaxed);
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

    /// Takes the next stale topics that are still followed, of tenants that are not being read. Their reading ends with
    /// [`Self::read_through`].
    pub(super) fn take_stale(&self) -> Vec<(TenantScope, Vec<Arc<Slot>>)> {
        let mut taken = Vec::new();
        {
            let (mut stale, mut reading) = (self.stale(), self.reading());
            for (tenant, topics) in stale.iter_mut() {
                let Entry::Vacant(place) = reading.entry(*tenant) else { continue };
                let next = next_of(topics);
                place.insert(next.iter().copied().filter(|topic| device_of(*topic).is_some()).collect());
                taken.push((*tenant, next));
            }
            stale.retain(|_, topics| !topics.is_empty());
        }
        let tenants = self.tenants();
        let of_tenant = |(tenant, topics): (TenantId, HashSet<Topic>)| {
            let Some(followed) = tenants.get(&tenant) else {
                // Nor are those that were left for later.
                self.stale().remove(&tenant);
                self.reading().remove(&tenant);
                return None;
            };
            let slots = topics.iter().filter_map(|topic| followed.slots.get(topic).cloned()).collect();
            Some((followed.scope, slots))
        };
        taken.into_iter().filter_map(of_tenant).collect()
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

    pub(super) fn reading(&self) -> MutexGuard<'_, HashMap<TenantId, HashSet<Topic>>> {
        self.0.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stale(&self) -> MutexGuard<'_, HashMap<TenantId, HashSet<Topic>>> {
        self.0.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the stale topics of a tenant that are read next. Of those that belong to one gateway each there may be thousands, when gateways
/// connect again: they are read in parts, so that a publication, or a session to be ended, waits for one part.
fn next_of(stale: &mut HashSet<Topic>) -> HashSet<Topic> {
    let (mut kills, mut configs, mut manifests) = (0, 0, 0);
    let has_room = |topic: &Topic| {
        let taken = match topic {
            Topic::KillList { .. } => &mut kills,
            Topic::DeploymentConfig { .. } => &mut configs,
            Topic::Manifest { .. } => &mut manifests,
            // Shared by gateways, or read for all devices together.
            Topic::TrustAnchors
            | Topic::GatewayPolicy { .. }
            | Topic::SpcBundle
            | Topic::DevicePolicy { .. }
            | Topic::Directory { .. } => return true,
        };
        *taken += 1;
        *taken <= PART
    };
    stale.extract_if(has_room).collect()
}

#[async_trait]
impl Follower for Board {
    fn name(&self) -> &'static str {
        "edge"
    }

    async fn process(&self, events: &[Event], _: i64) -> Result<()> {
        for event in events {
            let Some(tenant) = event.tenant else { continue };
            for topic in topics_of(event) {
                if self.followed(tenant, topic).is_some() {
                    self.mark(tenant, [topic]);
                }
            }
            if event.topic == Resource::Policy.topic() {
                self.mark_policy(tenant, event).await?;
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;
    use crate::base::Access;

    fn material(number: i64) -> Arc<Material> {
        let digest = number.to_string().into();
        Arc::new(Material { number, digest, envelope: Bytes::new(), renew_at: None, known_at: Instant::now() })
    }

    #[test]
    fn what_many_gateways_share_waits_for_none_of_what_is_their_own() {
        let gateways = || (0..1000).map(Uuid::from_u128);
        let mut stale: HashSet<Topic> = gateways().map(|gateway| Topic::DeploymentConfig { gateway }).collect();
        stale.extend(gateways().map(|gateway| Topic::KillList { gateway }));
        stale.extend(gateways().map(|device| Topic::DevicePolicy { device }));
        let shared = [Topic::TrustAnchors, Topic::SpcBundle, Topic::GatewayPolicy { bucket: 7 }];
        let all = stale.union(&shared.into()).copied().collect::<HashSet<_>>();
        stale.extend(shared);
        let mut taken = next_of(&mut stale);
        assert!(shared.iter().all(|topic| taken.contains(topic)));
        assert_eq!((taken.len(), stale.len()), (3 + 1000 + 2 * PART, 2 * (1000 - PART)));
        // Changed again meanwhile.
        stale.insert(shared[2]);
        taken.extend(next_of(&mut stale));
        assert!(!stale.contains(&shared[2]));
        while !stale.is_empty() {
            taken.extend(next_of(&mut stale));
        }
        assert_eq!(taken, all);
    }

    #[test]
    fn states_are_shared_while_they_are_in_use_and_forgotten_then() {
        let tenant = TenantId::from_uuid(Uuid::nil());
        let mut followed = Followed::of(TenantScope::grant(&Access::Platform, tenant, "acme").unwrap());
        let used: Vec<_> = (0..1000).map(|number| followed.share(material(number))).collect();
        assert!(used.iter().all(|one| Arc::ptr_eq(one, &followed.share(material(one.number)))));
        (1000..10_000).for_each(|number| drop(followed.share(material(number))));
        assert!((1000..=2001).contains(&followed.materials.len()), "{}", followed.materials.len());
        drop(used);
        (0..3000).for_each(|number| drop(followed.share(material(number))));
        assert!(followed.materials.len() <= 2 * SWEEP_AT, "{}", followed.materials.len());
    }
}
