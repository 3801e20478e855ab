//! What streams get instead of whole bundles: the revocations since the bundle that they have. Streams with the same one share the bytes,
//! which are signed once.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::bundles::{self, Bundle};
use crate::{
    base::{ExpiringCache, Result, TenantId, TenantScope},
    store::Store,
    trust::Trust,
};

/// Maximum number of signed deltas that are kept, and how long.
const KEPT: u64 = 256;
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The tenant, the sequence that a client has, and the digest of the newest bundle.
type Place = (TenantId, i64, Arc<str>);

/// The deltas of bundles. Cheap to clone; clones share what was signed.
#[derive(Clone, Debug)]
pub struct Deltas {
    store: Store,
    trust: Trust,
    signed: ExpiringCache<Place, Arc<Bundle>>,
    /// One stream at a time looks for a delta, so that the others find it signed.
    turn: Arc<Mutex<()>>,
}

impl Deltas {
    pub fn new(store: &Store, trust: &Trust) -> Self {
        let signed = ExpiringCache::new(KEPT, KEPT_FOR);
        Self { store: store.clone(), trust: trust.clone(), signed, turn: Arc::default() }
    }

    /// What a client with the bundle of a sequence needs to have the one with this digest, or a newer one: all of it, if the sequence is not
    /// known.
    pub async fn to(&self, scope: TenantScope, sequence: i64, digest: Arc<str>) -> Result<Arc<Bundle>> {
        let place = (scope.tenant(), sequence, digest);
        if let Some(signed) = self.signed.get(&place) {
            return Ok(signed);
        }
        let _turn = self.turn.lock().await;
        if let Some(signed) = self.signed.get(&place) {
            return Ok(signed);
        }
        let bundle = Arc::new(bundles::since_in(&self.store, &self.trust, scope, Some(sequence)).await?);
        self.signed.insert(place, bundle.clone());
        Ok(bundle)
    }
}
