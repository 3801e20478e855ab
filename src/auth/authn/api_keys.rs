//! API keys as credentials: from the text of a key to its caller.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{tenant_lookup::Tenants, tokens};
use crate::{
    audit::ApiKeyUses,
    base::{Basis, Caller, CallerKind, Clock, ExpiringCache, Result, TenantRef, caller::CallerFacts, opaque},
    identity::{ApiKey, api_keys},
    store::Revocation,
};

/// How long a key is cached. Revocations by other processes take effect within this time.
const KEPT: Duration = Duration::from_millis(500);
/// Maximum number of cached keys.
const MOST: u64 = 4096;

/// Looks up API keys. Implemented by the store, and by a fake in tests.
#[async_trait]
pub trait FindKey: Send + Sync + 'static {
    /// The key with a digest, in any state.
    async fn find_key(&self, digest: &str) -> Result<Option<ApiKey>>;
}

/// Turns API keys into callers, and counts their uses.
pub struct ApiKeys {
    finder: Arc<dyn FindKey>,
    /// By digest, with the revocation count before the lookup. Expiry and networks are checked on every use;
    /// missing keys are not cached.
    known: ExpiringCache<String, (u64, Arc<ApiKey>)>,
    /// How often this process revoked keys. Entries from before the last revocation are looked up again.
    revoked: Arc<AtomicU64>,
    uses: ApiKeyUses,
    clock: Clock,
}

impl ApiKeys {
    pub fn new(finder: Arc<dyn FindKey>, uses: ApiKeyUses, clock: Clock) -> Self {
        Self { finder, known: ExpiringCache::new(MOST, KEPT), revoked: Arc::default(), uses, clock }
    }

    /// Receives the revocations of this process, which take effect at once.
    pub fn listener(&self) -> impl Fn(&[Revocation]) + Send + Sync + 'static {
        let count = self.revoked.clone();
        move |revoked| {
            if revoked.iter().any(|revocation| matches!(revocation, Revocation::ApiKey { .. })) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// The caller of a key. Keys that do not exist, were revoked, have expired, are used from outside their
    /// networks, or whose tenant is gone all get the same error.
    pub async fn caller(&self, tenants: &dyn Tenants, text: &str, client: Option<IpAddr>) -> Result<Caller> {
        let key = self.find(text).await?.filter(|key| key.admits(self.clock.now(), client));
        let key = key.ok_or_else(tokens::invalid)?;
        let tenant = tenants.find(&TenantRef::Id(key.tenant)).await?.ok_or_else(tokens::invalid)?;
        self.uses.count(&key, client);
        Ok(Caller::new(CallerFacts {
            kind: CallerKind::Service,
            subject: key.subject(),
            role: key.role,
            basis: Basis::ApiKey(key.id),
            tenant: Some(tenant),
            ..CallerFacts::default()
        }))
    }

    async fn find(&self, text: &str) -> Result<Option<Arc<ApiKey>>> {
        if !api_keys::is_key(text) {
            return Ok(None);
        }
        let digest = opaque::digest(text);
        // Read before the lookup, whose result may be older than a revocation during it.
        let revoked = self.revoked.load(Ordering::SeqCst);
        if let Some((_, key)) = self.known.get(&digest).filter(|(before, _)| *before == revoked) {
            return Ok(Some(key));
        }
        let Some(key) = self.finder.find_key(&digest).await?.map(Arc::new) else { return Ok(None) };
        self.known.insert(digest, (revoked, key.clone()));
        Ok(Some(key))
    }
}
