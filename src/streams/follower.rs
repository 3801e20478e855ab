//! Followers of the outbox, and the count of open streams, for which the outbox is read.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{base::Result, store::outbox::Event};

/// Processes the events that the hub reads.
#[async_trait]
pub trait Follower: Send + Sync + 'static {
    /// A name for the log.
    fn name(&self) -> &'static str;

    /// Processes the next events, ordered by revision. They are all events up to `through`. After an error the same events are passed
    /// again until the call succeeds, so events that can never be processed must be skipped.
    async fn process(&self, events: &[Event], through: i64) -> Result<()>;

    /// Events up to this revision were not read, because no stream was open.
    fn restart(&self, at: i64);

    /// The database lost its newest events, possibly including processed ones. Its newest event now has the revision `to`; later
    /// revisions will be assigned again, to other events.
    fn rewind(&self, to: i64);
}

/// How many streams are open.
pub(super) type Demand = Arc<watch::Sender<usize>>;

/// Counts one open stream until it is dropped.
#[derive(Debug)]
pub(super) struct OpenStream(Demand);

impl OpenStream {
    pub(super) fn new(demand: &Demand) -> Self {
        demand.send_modify(|open| *open += 1);
        Self(demand.clone())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
