//! Reading the states of stale topics, and signing them where that is due.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Board, State, Topic, slot::Slot};
use crate::{
    access::kill_list,
    base::{Error, Kind, Result, TenantScope},
    fleet::gateways::DeploymentConfig,
    policy::{
        batch::{self, Wanted},
        bundles,
        gateway_view::{self, GatewayView},
    },
    spc,
};

/// The number of tenants that are read at once.
const AT_ONCE: usize = 8;
/// How often states are checked for their end.
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
        loop {
            tokio::select! {
                () = self.until_stale() => {}
                () = sleep(CHECK) => self.mark_due(self.store().clock().now()),
            }
            for (scope, slots) in self.take_stale() {
                let (board, turns) = (self.clone(), turns.clone());
                reading.spawn(async move {
                    let turn = turns.acquire().await;
                    let failed = board.refresh(scope, slots).await;
                    board.read_through(scope.tenant());
                    drop(turn);
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
    async fn refresh(&self, scope: TenantScope, slots: Vec<Arc<Slot>>) -> Vec<Topic> {
        let (mut anchors, mut views, mut others, mut devices) = (None, BTreeMap::new(), Vec::new(), HashMap::new());
        for slot in slots {
            match slot.topic {
                Topic::TrustAnchors => anchors = Some(slot),
                Topic::GatewayPolicy { bucket } => drop(views.insert(bucket, slot)),
                Topic::DeploymentConfig { .. } | Topic::SpcBundle | Topic::KillList { .. } => others.push(slot),
                Topic::DevicePolicy { device } => drop(devices.insert(device, slot)),
            }
        }
        let mut failed = Vec::new();
        // First, because they have the keys of the others.
        if let Some(slot) = anchors {
            let read = self.trust().latest_anchors(scope).await.map(State::from);
            self.apply(read, [slot], &mut failed);
        }
        self.refresh_views(scope, views, &mut failed).await;
        for slot in others {
            let read = self.read(scope, slot.topic).await;
            self.apply(read, [slot], &mut failed);
        }
        self.refresh_devices(scope, devices, &mut failed).await;
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
            Topic::TrustAnchors | Topic::GatewayPolicy { .. } | Topic::DevicePolicy { .. } => {
                Err(Error::internal("a topic is not read by itself"))
            }
        }
    }

    /// The policies of gateways, read and signed once for all buckets that have the same.
    async fn refresh_views(&self, scope: TenantScope, mut slots: BTreeMap<u32, Arc<Slot>>, failed: &mut Vec<Topic>) {
        if slots.is_empty() {
            return;
        }
        let bounds = match gateway_view::bounds(&self.store().tenant(scope)).await {
            Ok(bounds) => bounds,
            Err(error) => return self.apply(Err(error), slots.into_values(), failed),
        };
        for bound in bounds {
            // Those from the bound on.
            let from = slots.split_off(&bound);
            self.refresh_view(scope, std::mem::replace(&mut slots, from), failed).await;
        }
        self.refresh_view(scope, slots, failed).await;
    }

    /// The policies of devices: the tables are read once, and each resolution is signed once.
    async fn refresh_devices(&self, scope: TenantScope, mut slots: HashMap<Uuid, Arc<Slot>>, failed: &mut Vec<Topic>) {
        if slots.is_empty() {
            return;
        }
        let devices: Vec<Uuid> = slots.keys().copied().collect();
        let wanted = match batch::of_devices(&self.store().tenant(scope), &devices).await {
            Ok(wanted) => wanted,
            Err(error) => return self.apply(Err(error), slots.into_values(), failed),
        };
        let mut resolutions: BTreeMap<String, Resolution> = BTreeMap::new();
        for Wanted { subject, resolution, least } in wanted {
            // Without a resolution it stays among those that have no policy.
            let Some(key) = resolution else { continue };
            let Some(slot) = slots.remove(&subject.device) else { continue };
            slot.set_groups(subject.groups);
            let of = resolutions.entry(key).or_insert_with(|| Resolution::of(subject.device));
            of.least = of.least.max(least);
            of.slots.push(slot);
        }
        self.apply(Ok(State::Absent), slots.into_values(), failed);
        for (key, Resolution { device, least, slots }) in resolutions {
            let read = bundles::of_resolution(self.store(), self.trust(), scope, device, (&key, least)).await;
            self.apply(read.map(State::from), slots, failed);
        }
    }

    /// The policies of buckets that have the same.
    async fn refresh_view(&self, scope: TenantScope, slots: BTreeMap<u32, Arc<Slot>>, failed: &mut Vec<Topic>) {
        let Some(&bucket) = slots.keys().next() else { return };
        let read = self.trust().artifact(scope, GatewayView { bucket }).await.map(State::from);
        self.apply(read, slots.into_values(), failed);
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
            let state = shared.get_or_insert_with(|| self.shared(slot.tenant, state.clone()));
            slot.set(state.clone());
        }
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
