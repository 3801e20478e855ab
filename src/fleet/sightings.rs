//! When devices and gateways last called. There are too many calls for a write each, so the last call of each is written with others.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use crate::{
    base::{Clock, EnrolledKind, Result, TenantId},
    store::{Store, tables::Seen},
};

/// Maximum number of devices and gateways that are remembered between two writes; the calls of further ones are noted later.
const MAX_KEPT: usize = 100_000;
/// Maximum number in one write.
const BATCH: usize = 200;

/// The last calls since the last write. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Sightings(Arc<Mutex<HashMap<(EnrolledKind, Uuid), Seen>>>, Clock);

impl Sightings {
    pub fn new(clock: Clock) -> Self {
        Self(Arc::default(), clock)
    }

    /// Notes a call.
    pub fn note(&self, kind: EnrolledKind, tenant: TenantId, id: Uuid, address: Option<IpAddr>) {
        self.keep([Seen { kind, tenant, id, at: self.1.now().into(), address }]);
    }

    /// Writes the last calls, and returns their number. On a failure they are kept.
    pub async fn flush(&self, store: &Store) -> Result<u64> {
        let mut taken: Vec<_> = std::mem::take(&mut *self.lock()).into_values().collect();
        let number = taken.len() as u64;
        // Servers that write the same rows lock them in one order.
        taken.sort_unstable_by_key(|seen| (seen.tenant, seen.id));
        while !taken.is_empty() {
            let batch = taken.split_off(taken.len().saturating_sub(BATCH));
            if let Err(error) = store.note_seen(batch.clone()).await {
                self.keep(batch.into_iter().chain(taken));
                return Err(error);
            }
        }
        Ok(number)
    }

    fn keep(&self, seen: impl IntoIterator<Item = Seen>) {
        let mut kept = self.lock();
        for seen in seen {
            let key = (seen.kind, seen.id);
            let is_later = kept.get(&key).map_or(kept.len() < MAX_KEPT, |known| known.at < seen.at);
            if is_later {
                kept.insert(key, seen);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(EnrolledKind, Uuid), Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Stamp;

    #[test]
    fn the_last_call_of_each_is_kept() {
        let sightings = Sightings::new(Clock::system());
        let seen = |id: u128, at: i64| Seen {
            kind: EnrolledKind::Device,
            tenant: TenantId::from_uuid(Uuid::nil()),
            id: Uuid::from_u128(id),
            at: Stamp::from_micros(at),
            address: None,
        };
        sightings.keep([seen(1, 5), seen(2, 1), seen(1, 3)]);
        let mut kept: Vec<_> = sightings.lock().values().map(|seen| (seen.id.as_u128(), seen.at)).collect();
        kept.sort_by_key(|(id, _)| *id);
        assert_eq!(kept, [(1, Stamp::from_micros(5)), (2, Stamp::from_micros(1))]);
    }
}
