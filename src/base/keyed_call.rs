//! A call under an `Idempotency-Key`, as its writes see it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A call that takes effect once under its key. Its first write claims the key in its own transaction, so that the key is
/// claimed exactly if the write came to pass. Cheap to clone; all clones are the same call.
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
    /// A call that has written nothing. `id` is the digest of whose key it is and for what, `request_hash` that of the
    /// request.
    pub fn new(id: String, request_hash: String) -> Self {
        Self::known_as(id, request_hash, None)
    }

    /// As [`new`](Self::new), with the digest that the version before made of the request: its keys are remembered for a day.
    pub fn known_as(id: String, request_hash: String, older_hash: Option<String>) -> Self {
        Self(Arc::new(Facts { id, request_hash, older_hash, wrote: AtomicBool::new(false) }))
    }

    /// Digest of whose key it is and for what.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Digest of the request.
    pub fn request_hash(&self) -> &str {
        &self.0.request_hash
    }

    /// Whether a digest that was kept is that of the request, by the rule of this version or of the one before.
    pub fn is_request(&self, kept: &str) -> bool {
        kept == self.0.request_hash || self.0.older_hash.as_deref() == Some(kept)
    }

    /// Whether a write of the call was acknowledged, and the key with it. One that was not acknowledged may have come to
    /// pass all the same: the database tells.
    pub fn has_written(&self) -> bool {
        self.0.wrote.load(Ordering::Acquire)
    }

    /// Notes that a write of the call was acknowledged.
    pub fn note_written(&self) {
        self.0.wrote.store(true, Ordering::Release);
    }
}
