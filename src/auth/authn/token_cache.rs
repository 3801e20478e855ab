//! A cache of verified tokens, because verifying a signature costs more than reading a row.
//!
//! The key is the whole token, so only the very same token hits an entry. The user of the cache checks times,
//! audience and revocation on every use, so an entry cannot extend the life of a token.

use std::sync::Arc;

use moka::{Expiry, sync::Cache};
use std::time::{Duration, Instant};

use super::tokens::{Claims, LEEWAY};
use crate::base::Clock;

/// Maximum size of keys and claims together, in bytes.
const MAX_BYTES: u64 = 2 * 1024 * 1024;

/// A bounded cache of verified tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenCache(Cache<Arc<str>, Arc<Claims>>);

/// Expires an entry with its token.
struct AtExpiry(Clock);

impl Expiry<Arc<str>, Arc<Claims>> for AtExpiry {
    fn expire_after_create(&self, _: &Arc<str>, claims: &Arc<Claims>, _: Instant) -> Option<Duration> {
        let left = claims.exp.saturating_add(LEEWAY).saturating_sub(self.0.unix());
        Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
    }
}

impl TokenCache {
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

    /// Stores the claims of a verified token.
    pub fn insert(&self, token: &str, claims: Claims) -> Arc<Claims> {
        let claims = Arc::new(claims);
        self.0.insert(token.into(), claims.clone());
        claims
    }
}
