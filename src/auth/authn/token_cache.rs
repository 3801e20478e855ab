//! Verified tokens, kept so that a signature is checked once and not on every call: checking one costs more than
//! reading a row.
//!
//! The key is the whole token, so nothing but that very token finds its entry. Times, audience and revocation are
//! checked on every use by the caller of this cache, so an entry never lets a token live longer than it should.

use std::sync::Arc;

use moka::{Expiry, sync::Cache};
use std::time::{Duration, Instant};

use super::tokens::{Claims, LEEWAY};
use crate::base::Clock;

/// Most bytes that the cache holds, keys and claims together.
const MAX_BYTES: u64 = 2 * 1024 * 1024;

/// A bounded cache of verified tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenCache(Cache<Arc<str>, Arc<Claims>>);

/// An entry goes when its token ends.
struct AtExpiry(Clock);

impl Expiry<Arc<str>, Arc<Claims>> for AtExpiry {
    fn expire_after_create(&self, _: &Arc<str>, claims: &Arc<Claims>, _: Instant) -> Option<Duration> {
        let left = claims.exp.saturating_add(LEEWAY).saturating_sub(self.0.unix());
        Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
    }
}

impl TokenCache {
    /// An empty cache.
    pub fn new(clock: Clock) -> Self {
        let weight = |token: &Arc<str>, claims: &Arc<Claims>| {
            let texts = token.len() + claims.sub.len() + claims.aud.iter().map(String::len).sum::<usize>();
            u32::try_from(texts + size_of::<Claims>()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weight).expire_after(AtExpiry(clock)).build())
    }

    /// The claims of a token that was verified before.
    pub fn get(&self, token: &str) -> Option<Arc<Claims>> {
        self.0.get(token)
    }

    /// Keeps the claims of a token that was verified just now.
    pub fn insert(&self, token: &str, claims: Claims) -> Arc<Claims> {
        let claims = Arc::new(claims);
        self.0.insert(token.into(), claims.clone());
        claims
    }
}
