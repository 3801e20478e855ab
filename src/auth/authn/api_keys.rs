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
use moka::sync::Cache;

use super::{authenticate::Tenants, tokens};
use crate::{
    audit::ApiKeyUses,
    base::{Basis, Caller, CallerKind, Clock, Result, TenantRef, caller::CallerFacts},
    identity::{ApiKey, api_keys},
    store::Revocation,
};

/// How long a key that was found is not looked up again. A revocation by another process is seen as late as that.
const KEPT: Duration = Duration::from_millis(500);
/// Most keys that are kept.
const MOST: u64 = 4096;

/// Finds API keys. The store, or a fake in tests.
#[async_trait]
pub trait FindKey: Send + Sync + 'static {
    /// The key with a digest, in whatever state.
    async fn find_key(&self, digest: &str) -> Result<Option<ApiKey>>;
}

/// Turns API keys into callers, and counts their uses.
pub struct ApiKeys {
    finder: Arc<dyn FindKey>,
    /// By digest, with the number of revocations before the look-up. Its end and its networks are checked on every use; a
    /// key that is not there is not remembered.
    known: Cache<String, (u64, Arc<ApiKey>)>,
    /// How often this process revoked keys. What was looked up before the last time is looked up again.
    revoked: Arc<AtomicU64>,
    uses: ApiKeyUses,
    clock: Clock,
}

impl ApiKeys {
    /// The keys that `finder` finds.
    pub fn new(finder: Arc<dyn FindKey>, uses: ApiKeyUses, clock: Clock) -> Self {
        let known = Cache::builder().max_capacity(MOST).time_to_live(KEPT).build();
        Self { finder, known, revoked: Arc::default(), uses, clock }
    }

    /// What is told of each revocation of this process: it holds at once.
    pub fn listener(&self) -> impl Fn(&[Revocation]) + Send + Sync + 'static {
        let count = self.revoked.clone();
        move |revoked| {
            if revoked.iter().any(|revocation| matches!(revocation, Revocation::ApiKey { .. })) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// The caller of a key. One that does not exist, was revoked, has ended, is used from outside its networks, or whose
    /// tenant is gone: to a caller they are all the same.
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
        let digest = api_keys::digest(text);
        // Before the look-up: what it finds may be older than a revocation that is told while it runs.
        let revoked = self.revoked.load(Ordering::SeqCst);
        if let Some((_, key)) = self.known.get(&digest).filter(|(before, _)| *before == revoked) {
            return Ok(Some(key));
        }
        let Some(key) = self.finder.find_key(&digest).await?.map(Arc::new) else { return Ok(None) };
        self.known.insert(digest, (revoked, key.clone()));
        Ok(Some(key))
    }
}
