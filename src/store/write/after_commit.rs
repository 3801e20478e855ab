//! Steps in this process after a write has committed and before its caller gets the response.

use std::sync::Arc;

use crate::{
    base::Activator,
    store::{
        Revocation,
        cache::{Cache, Invalidate},
        revocations::Listeners,
    },
};

/// A step after the commit of a write. A failed write takes none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum AfterCommit {
    Invalidate(Invalidate),
    /// Look for due operations in this process.
    OperationDue,
    /// Notify the listeners of a revocation.
    Revoked(Revocation),
}

#[derive(Clone, Default)]
pub(in crate::store) struct Observers {
    pub cache: Arc<Cache>,
    pub revoked: Arc<Listeners>,
    /// Wakes the reader of the outbox.
    pub numbered: Activator,
    pub operations: Activator,
}

impl Observers {
    /// Runs the steps of committed writes.
    pub fn committed(&self, steps: Vec<AfterCommit>) {
        let mut revoked = Vec::new();
        for step in steps {
            match step {
                AfterCommit::Invalidate(key) => self.cache.invalidate(key),
                AfterCommit::OperationDue => self.operations.activate(),
                AfterCommit::Revoked(revocation) => revoked.push(revocation),
            }
        }
        self.revoked.notify(&revoked);
    }
}
