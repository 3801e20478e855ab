//! Reading the states of stale topics, and signing them where that is due.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Board, State, Topic, slot::Slot};
use crate::{
    base::{Error, Kind, Result, TenantScope},
    policy::gateway_view::{self, GatewayView},
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
        loop {
            tokio::select! {
                () = self.until_stale() => {}
                () = sleep(CHECK) => self.mark_due(self.store().clock().now()),
            }
            let stale = stream::iter(self.take_stale());
            let failed = stale.map(|(scope, slots)| self.refresh(scope, slots)).buffer_unordered(AT_ONCE);
            if failed.filter(|failed| std::future::ready(*failed)).count().await > 0 {
                sleep(RETRY).await;
            }
        }
    }

    /// Reads topics of a tenant again. Those that cannot be read stay stale; returns whether there are any.
    async fn refresh(&self, scope: TenantScope, slots: Vec<Arc<Slot>>) -> bool {
        let mut by_kind: BTreeMap<Topic, Arc<Slot>> = slots.into_iter().map(|slot| (slot.topic, slot)).collect();
        // First, because it has the keys of the others.
        let anchors = by_kind.remove(&Topic::TrustAnchors);
        let mut failed = Vec::new();
        if let Some(slot) = anchors {
            let read = self.trust().latest_anchors(scope).await.map(State::from);
            apply(read, [slot], &mut failed);
        }
        let views: BTreeMap<u32, Arc<Slot>> = by_kind.into_values().filter_map(bucket).collect();
        self.refresh_views(scope, views, &mut failed).await;
        if failed.is_empty() {
            return false;
        }
        self.mark(scope.tenant(), failed);
        true
    }

    /// The policies of gateways, read and signed once for all buckets that have the same.
    async fn refresh_views(&self, scope: TenantScope, mut slots: BTreeMap<u32, Arc<Slot>>, failed: &mut Vec<Topic>) {
        if slots.is_empty() {
            return;
        }
        let bounds = match gateway_view::bounds(&self.store().tenant(scope)).await {
            Ok(bounds) => bounds,
            Err(error) => return apply(Err(error), slots.into_values(), failed),
        };
        for bound in bounds {
            // Those from the bound on.
            let from = slots.split_off(&bound);
            self.refresh_view(scope, std::mem::replace(&mut slots, from), failed).await;
        }
        self.refresh_view(scope, slots, failed).await;
    }

    /// The policies of buckets that have the same.
    async fn refresh_view(&self, scope: TenantScope, slots: BTreeMap<u32, Arc<Slot>>, failed: &mut Vec<Topic>) {
        let Some(&bucket) = slots.keys().next() else { return };
        let read = self.trust().artifact(scope, GatewayView { bucket }).await.map(State::from);
        apply(read, slots.into_values(), failed);
    }
}

fn bucket(slot: Arc<Slot>) -> Option<(u32, Arc<Slot>)> {
    match slot.topic {
        Topic::GatewayPolicy { bucket } => Some((bucket, slot)),
        Topic::TrustAnchors => None,
    }
}

/// Sets the state that was read, or notes the topics for which that failed.
fn apply(read: Result<State>, slots: impl IntoIterator<Item = Arc<Slot>>, failed: &mut Vec<Topic>) {
    match read {
        Ok(state) => slots.into_iter().for_each(|slot| slot.set(state.clone())),
        Err(error) if error.kind == Kind::NotFound => slots.into_iter().for_each(|slot| slot.set(State::Absent)),
        Err(error) => {
            log(&error);
            failed.extend(slots.into_iter().map(|slot| slot.topic));
        }
    }
}

fn log(error: &Error) {
    tracing::warn!(%error, cause = ?error.cause.as_ref(), "cannot read what streams follow; trying again");
}
