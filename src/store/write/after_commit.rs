//! What happens in this process once a write has committed, and before its caller is answered.

use std::sync::Arc;

use crate::store::{Revocation, clusters::ClusterNames, revocations::Listeners};

/// What a process keeps in memory that a write makes out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidate {
    /// The names of the clusters.
    ClusterNames,
}

/// A step of a write that follows its commit. A write that fails takes none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum AfterCommit {
    /// Something that is kept in memory is read anew.
    Invalidate(Invalidate),
    /// The listeners hear of a revocation.
    Revoked(Revocation),
}

/// Those who take the steps.
#[derive(Clone, Default)]
pub(in crate::store) struct Observers {
    pub clusters: Arc<ClusterNames>,
    pub revoked: Arc<Listeners>,
}

impl Observers {
    /// Takes the steps of writes that have committed.
    pub fn committed(&self, steps: Vec<AfterCommit>) {
        let mut revoked = Vec::new();
        for step in steps {
            match step {
                AfterCommit::Invalidate(Invalidate::ClusterNames) => self.clusters.changed(),
                AfterCommit::Revoked(revocation) => revoked.push(revocation),
            }
        }
        self.revoked.tell(&revoked);
    }
}
