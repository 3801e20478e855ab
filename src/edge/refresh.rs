//! Reading the states of stale topics, and signing them where that is due.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{interval, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Board, State, Topic, slot::Slot};
use crate::{
    access::kill_list,
    base::{Error, Kind, Result, TenantId, TenantRef, TenantScope},
    fleet::{
        directory::{self, Listed, Reader},
        gateways::DeploymentConfig,
    },
    policy::{
        batch::{self, Wanted},
        bundles, ending,
        gateway_view::{self, GatewayView},
    },
    spc,
    store::Stamp,
    tenants,
};

/// The number of tenants that are read at once.
const AT_ONCE: usize = 8;
/// How often states are checked for their end, or after each interval in which gateways report if that is shorter.
const CHECK: Duration = Duration::from_secs(30);
/// The delay after a failure.
const RETRY: Duration = Duration::from_millis(500);

impl Board {
    /// Keeps the states of followed topics new, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::select! {
            () = self.keep_new() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn keep_new(&self) {
        let (mut reading, turns) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
        // Outside of the loop: the next check must come although the bell rings all the time. It finds what the timer has missed, because
        // the clock was set.
        let mut checks = interval(CHECK.min(self.heartbeat().interval().unsigned_abs()));
        loop {
            tokio::select! {
                () = self.until_stale() => {}
                () = self.until_due() => {}
                _ = checks.tick() => self.mark_due(self.store().clock().now()),
            }
            for (scope, slots) in self.take_stale() {
                let (board, turns) = (self.clone(), turns.clone());
                reading.spawn(async move {
                    let reading = Reading { board: &board, tenant: scope.tenant() };
                    let turn = turns.acquire().await;
                    let failed = board.refresh(scope, slots).await;
                    drop((turn, reading));
                    if !failed.is_empty() {
                        sleep(RETRY).await;
                        board.mark(scope.tenant(), failed);
                    }
                });
            }
            while reading.try_join_next().is_some() {}
        }
    }

    /// Reads topics of a tenant again. Returns those that could not be read.
    async fn refresh(&self, scope: TenantScope, mut slots: Vec<Arc<Slot>>) -> Vec<Topic> {
        match tenants::find(self.store(), &TenantRef::Id(scope.tenant())).await {
            // The streams of its gateways and devices are about to end, and get nothing that came after the suspension.
            Ok(tenant) if !tenant.as_ref().is_some_and(|tenant| tenant.status.admits()) => {
                slots.retain(|slot| slot.topic == Topic::TrustAnchors || slot.state() == State::Unknown);
            }
            Ok(_) => {}
            Err(error) => {
                log(&error);
                return slots.iter().map(|slot| slot.topic).collect();
            }
        }
        let (mut views, mut others, mut devices) = (BTreeMap::new(), Vec::new(), HashMap::new());
        let (mut manifests, mut directories) = (Vec::new(), HashMap::new());
        let mut topics = Vec::with_capacity(slots.len());
        for slot in slots {
            topics.push(slot.topic);
            match slot.topic {
                Topic::TrustAnchors => {}
                Topic::GatewayPolicy { bucket } => drop(views.insert(bucket, slot)),
                Topic::DeploymentConfig { .. } | Topic::SpcBundle | Topic::KillList { .. } => others.push(slot),
                Topic::DevicePolicy { device } => drop(devices.insert(device, slot)),
                Topic::Manifest { .. } => manifests.push(slot),
                Topic::Directory { reader } => drop(directories.insert(reader, slot)),
            }
        }
        let mut failed = Vec::new();
        let mut read = self.read_views(scope, views, &mut failed).await;
        // After their parts.
        for slot in others.into_iter().chain(manifests) {
            read.push((self.read(scope, slot.topic).await, vec![slot]));
        }
        read.extend(self.read_devices(scope, devices, &mut failed).await);
        read.extend(self.read_directories(scope, directories).await);
        // Read last and set first: whatever was signed until now, its key is among them.
        if let Some(slot) = self.followed(scope.tenant(), Topic::TrustAnchors) {
            match self.trust().latest_anchors(scope).await {
                Ok(set) => self.apply(Ok(set.into()), [slot], &mut failed),
                Err(error) => {
                    log(&error);
                    return topics;
                }
            }
        }
        for (read, slots) in read {
            self.apply(read, slots, &mut failed);
        }
        failed
    }

    /// The state of a topic that shares nothing with others.
    async fn read(&self, scope: TenantScope, topic: Topic) -> Result<State> {
        match topic {
            Topic::DeploymentConfig { gateway } => {
                let config = DeploymentConfig { gateway, heartbeat: self.heartbeat() };
                self.trust().artifact(scope, config).await.map(State::from)
            }
            Topic::SpcBundle => spc::bundles::full(self.store(), self.trust(), scope).await.map(State::from),
            Topic::KillList { gateway } => {
                let now = self.store().clock().now().into();
                kill_list(&self.store().tenant(scope), gateway, now).await.map(State::from)
            }
            Topic::Manifest { gateway } => {
                super::manifest(self.store(), self.trust(), scope, gateway, self.heartbeat()).await.map(State::from)
            }
            Topic::TrustAnchors
            | Topic::GatewayPolicy { .. }
            | Topic::DevicePolicy { .. }
            | Topic::Directory { .. } => Err(Error::internal("a topic is not read by itself")),
        }
    }

    /// The policies of gateways, read and signed once for all buckets that have the same.
    async fn read_views(&self, scope: TenantScope, slots: BTreeMap<u32, Arc<Slot>>, failed: &mut Vec<Topic>) -> Views {
        if slots.is_empty() {
            return Vec::new();
        }
        let topics: Vec<Topic> = slots.values().map(|slot| slot.topic).collect();
        match self.read_between_bounds(scope, slots).await {
            Ok(Some(views)) => return views,
            // A canary came meanwhile.
            Ok(None) => {}
            Err(error) => log(&error),
        }
        failed.extend(topics);
        Vec::new()
    }

    /// What the slots between two bounds get; `None` if the bounds changed meanwhile, because what was read for some of them may have
    /// a canary that is not for all.
    async fn read_between_bounds(
        &self,
        scope: TenantScope,
        mut slots: BTreeMap<u32, Arc<Slot>>,
    ) -> Result<Option<Views>> {
        ending::settle(self.store(), scope).await?;
        let (rows, now) = (self.store().tenant(scope), self.store().clock().now().into());
        let bounds = gateway_view::bounds(&rows, now).await?;
        let until = bounds.until.map(Stamp::time);
        let mut views = Vec::new();
        for end in bounds.bounds.iter().map(|bound| bound.percent).chain([u32::MAX]) {
            // Those from the bound on.
            let from = slots.split_off(&end);
            let same = std::mem::replace(&mut slots, from);
            if let Some(&bucket) = same.keys().next() {
                let view = self.trust().artifact(scope, GatewayView { bucket }).await;
                let read = view.map(|view| State::from(view).renewed_by(until));
                views.push((read, same.into_values().collect()));
            }
        }
        Ok((gateway_view::bounds(&rows, now).await? == bounds).then_some(views))
    }

    /// What devices should have now.
    async fn wanted(&self, scope: TenantScope, devices: &[Uuid]) -> Result<Vec<Wanted>> {
        ending::settle(self.store(), scope).await?;
        let now = self.store().clock().now().into();
        batch::of_devices(&self.store().tenant(scope), devices, now).await
    }

    /// The policies of devices: the tables are read once, and each resolution is signed once.
    async fn read_devices(
        &self,
        scope: TenantScope,
        mut slots: HashMap<Uuid, Arc<Slot>>,
        failed: &mut Vec<Topic>,
    ) -> Views {
        if slots.is_empty() {
            return Vec::new();
        }
        let devices: Vec<Uuid> = slots.keys().copied().collect();
        let wanted = match self.wanted(scope, &devices).await {
            Ok(wanted) => wanted,
            Err(error) => return vec![(Err(error), slots.into_values().collect())],
        };
        self.count_resolved(wanted.len());
        let mut resolutions: BTreeMap<String, Resolution> = BTreeMap::new();
        for Wanted { subject, resolution, least } in wanted {
            if let Some(slot) = slots.get(&subject.device) {
                slot.set_groups(subject.groups);
            }
            // Without a resolution it stays among those that have no policy.
            let Some(key) = resolution else { continue };
            let Some(slot) = slots.remove(&subject.device) else { continue };
            let of = resolutions.entry(key).or_insert_with(|| Resolution::of(subject.device));
            of.least = of.least.max(least);
            of.slots.push(slot);
        }
        let mut read: Views = vec![(Ok(State::Absent), slots.into_values().collect())];
        for (key, Resolution { device, least, slots }) in resolutions {
            match bundles::of_resolution(self.store(), self.trust(), scope, device, (&key, least)).await {
                Ok(bundle) => read.push((Ok(bundle.into()), slots)),
                // It may be about the one device alone, which changed meanwhile: all are resolved again.
                Err(error) => {
                    log(&error);
                    failed.extend(slots.into_iter().map(|slot| slot.topic));
                }
            }
        }
        read
    }

    /// The directories of gateways: the tables are read once, and each list of pools is signed once. Gateways come and go without a change
    /// that is recorded, so directories are read again after each interval in which gateways report.
    async fn read_directories(&self, scope: TenantScope, mut slots: HashMap<Reader, Arc<Slot>>) -> Views {
        if slots.is_empty() {
            return Vec::new();
        }
        let (readers, heartbeat): (Vec<_>, _) = (slots.keys().copied().collect(), self.heartbeat());
        let listed = match directory::of_readers(self.store(), self.trust(), scope, &readers, heartbeat).await {
            Ok(listed) => listed,
            Err(error) => return vec![(Err(error), slots.into_values().collect())],
        };
        let again = self.store().clock().now() + heartbeat.interval();
        let mut read: Views = Vec::new();
        for Listed { artifact, readers } in listed {
            let of = readers.into_iter().filter_map(|(reader, groups)| {
                let slot = slots.remove(&reader)?;
                slot.set_groups(groups);
                Some(slot)
            });
            let of = of.collect();
            read.push((artifact.map(|artifact| State::from(artifact).renewed_by(Some(again))), of));
        }
        // Devices that are not active.
        read.push((Ok(State::Absent), slots.into_values().collect()));
        read
    }

    /// Sets the state of topics of a tenant that was read, or notes those for which that failed.
    fn apply(&self, read: Result<State>, slots: impl IntoIterator<Item = Arc<Slot>>, failed: &mut Vec<Topic>) {
        let state = match read {
            Ok(state) => state,
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::PermissionDenied) => State::Absent,
            Err(error) => {
                log(&error);
                return failed.extend(slots.into_iter().map(|slot| slot.topic));
            }
        };
        let mut shared: Option<State> = None;
        for slot in slots {
            let state = shared.get_or_insert_with(|| {
                self.note_due(slot.tenant, &state);
                self.shared(slot.tenant, state.clone())
            });
            slot.set(state.clone());
        }
    }
}

/// What is read for slots with the same policies.
type Views = Vec<(Result<State>, Vec<Arc<Slot>>)>;

/// The topics of a tenant are being read, until it is dropped: also if that panics.
struct Reading<'b> {
    board: &'b Board,
    tenant: TenantId,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.board.read_through(self.tenant);
    }
}

/// Devices with the same policy.
struct Resolution {
    /// One of them.
    device: Uuid,
    /// The lowest version that all of them may get.
    least: i64,
    slots: Vec<Arc<Slot>>,
}

impl Resolution {
    fn of(device: Uuid) -> Self {
        Self { device, least: 0, slots: Vec::new() }
    }
}

fn log(error: &Error) {
    tracing::warn!(%error, cause = ?error.cause.as_ref(), "cannot read what streams follow; trying again");
}
