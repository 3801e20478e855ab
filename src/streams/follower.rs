//! Followers of the outbox, and how many streams need them.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{base::Result, store::outbox::Event};

/// Is handed what the hub reads.
#[async_trait]
pub trait Follower: Send + Sync + 'static {
    /// A name for the log.
    fn name(&self) -> &'static str;

    /// Takes the next events, in the order of their revisions; with them, all through `through` is known. After an error the same
    /// events come again, until they are taken: events that can never be taken must be skipped.
    async fn take(&self, events: &[Event], through: i64) -> Result<()>;

    /// Events through this revision were not read, because no stream was open.
    fn restart(&self, at: i64);

    /// The database lost its newest events, and perhaps some that were taken. Its newest event is now this one, and the next ones have
    /// revisions that other events had before.
    fn rewind(&self, to: i64);
}

/// How many streams are open.
pub(super) type Demand = Arc<watch::Sender<usize>>;

/// The place of an open stream: while it is held, the outbox is read.
#[derive(Debug)]
pub(super) struct Wanted(Demand);

impl Wanted {
    pub(super) fn new(demand: &Demand) -> Self {
        demand.send_modify(|open| *open += 1);
        Self(demand.clone())
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
