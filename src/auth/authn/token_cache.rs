//! A cache of verified tokens, because verifying a signature costs more than reading a row.
//!
//! The key is the whole token, so only the very same token hits an entry. The user of the cache checks times,
//! audience and revocation on every use, so an entry cannot extend the life of a token.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use super::tokens::Claims;

/// Maximum size of keys and claims together, in bytes.
const MAX_BYTES: u64 = 2 * 1024 * 1024;
/// Number of tokens for which space is allocated at once.
const INITIAL_TOKENS: usize = 64;

/// A bounded cache of verified tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenCache(Arc<Cache<Arc<str>, Arc<Claims>, Size>>);

/// The size of an entry in bytes.
#[derive(Clone)]
struct Size;

impl Weighter<Arc<str>, Arc<Claims>> for Size {
    fn weight(&self, token: &Arc<str>, claims: &Arc<Claims>) -> u64 {
        let texts = token.len() + claims.sub.len() + claims.aud.iter().map(String::len).sum::<usize>();
        u64::try_from(texts + size_of::<Claims>()).unwrap_or(u64::MAX)
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self(Arc::new(Cache::with_weighter(INITIAL_TOKENS, MAX_BYTES, Size)))
    }
}

impl TokenCache {
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
