//! When states are to be read again without a change: before they expire, and when a policy in them ends. One timer waits for the first.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::sleep;

use super::{Board, State, board::Followed, slot::Slot};
use crate::base::TenantId;

impl Board {
    /// Notes when a state that was read is to be read again.
    pub(super) fn note_due(&self, tenant: TenantId, state: &State) {
        let now = self.store().clock().now();
        // What is due already was not signed again, although it was read just now: the periodic check reads it again.
        let Some(at) = renewal(state).filter(|at| now < *at) else { return };
        let is_first = {
            let mut tenants = self.tenants();
            let first = tenants.values().filter_map(|followed| followed.due).min();
            let Some(followed) = tenants.get_mut(&tenant) else { return };
            followed.due = Some(followed.due.map_or(at, |known| known.min(at)));
            first.is_none_or(|first| at < first)
        };
        if is_first {
            self.due_bell().notify_one();
        }
    }

    /// Waits until a state is due, and marks it.
    pub(super) async fn until_due(&self) {
        loop {
            let first = self.tenants().values().filter_map(|followed| followed.due).min();
            let Some(first) = first else {
                self.due_bell().notified().await;
                continue;
            };
            let left = Duration::try_from(first - self.store().clock().now()).unwrap_or_default();
            tokio::select! {
                () = sleep(left) => return self.mark_due(self.store().clock().now()),
                () = self.due_bell().notified() => {}
            }
        }
    }

    /// The states that are to be read again at this time.
    pub(super) fn mark_due(&self, now: OffsetDateTime) {
        self.mark_where(None, |slot| renewal(&slot.state()).is_some_and(|at| at <= now));
        for followed in self.tenants().values_mut().filter(|followed| followed.due.is_some_and(|at| at <= now)) {
            followed.due = next_after(followed, now);
        }
    }
}

fn next_after(followed: &Followed, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let renewals = followed.slots.values().filter_map(|slot: &std::sync::Arc<Slot>| renewal(&slot.state()));
    renewals.filter(|at| now < *at).min()
}

fn renewal(state: &State) -> Option<OffsetDateTime> {
    match state {
        State::Known(material) => material.renew_at,
        State::Unknown | State::Absent => None,
    }
}
