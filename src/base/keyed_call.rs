//! A call with an `Idempotency-Key`, as its writes see it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A call that takes effect only once for its key. Its first write claims the key in its own transaction, so the key is
/// claimed if and only if the write committed. Cheap to clone; all clones are the same call.
#[derive(Clone, Debug)]
pub struct KeyedCall(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    id: String,
    request_hash: String,
    older_hash: Option<String>,
    wrote: AtomicBool,
}

impl KeyedCall {
    /// A call that has not written anything. `id` is the digest of the key's owner and purpose, `request_hash` that of
    /// the request.
    pub fn new(id: String, request_hash: String) -> Self {
        Self::known_as(id, request_hash, None)
    }

    /// Like [`new`](Self::new), with the digest of the request by the previous version: its keys are kept for a day.
    pub fn known_as(id: String, request_hash: String, older_hash: Option<String>) -> Self {
        Self(Arc::new(Facts { id, request_hash, older_hash, wrote: AtomicBool::new(false) }))
    }

    /// Digest of the key's owner and purpose.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    pub fn request_hash(&self) -> &str {
        &self.0.request_hash
    }

    /// Whether a stored digest is that of the request, by the rule of this version or the previous one.
    pub fn is_request(&self, kept: &str) -> bool {
        kept == self.0.request_hash || self.0.older_hash.as_deref() == Some(kept)
    }

    /// Whether a write of the call, and its key with it, was acknowledged. An unacknowledged one may have committed
    /// too: only the database knows.
    pub fn has_written(&self) -> bool {
        self.0.wrote.load(Ordering::Acquire)
    }

    /// Records that a write of the call was acknowledged.
    pub fn note_written(&self) {
        self.0.wrote.store(true, Ordering::Release);
    }
}
