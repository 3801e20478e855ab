//! Followers of the outbox.

use async_trait::async_trait;

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
