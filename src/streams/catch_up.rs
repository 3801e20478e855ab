//! Reading the outbox for a stream whose position is older than the changes in memory, because its client resumes after a while or
//! reads slowly.

use super::{
    Message, Source, Watch,
    log::Change,
    watch::{PAGE, pruned},
};
use crate::{
    base::Result,
    store::{outbox, outbox_retention},
};

/// Maximum number of revisions in one query. The query groups them by resource for each page, so an unbounded range would be too
/// expensive.
const RANGE: i64 = 1024;

impl<S: Source> Watch<S> {
    /// Reads the last change of each resource in a range after the position. The range ends at `start` or earlier, where the changes in
    /// memory begin. A resource with a later change in memory is skipped.
    pub(super) async fn catch_up(&mut self, start: i64) -> Result<()> {
        let end = start.min(self.position.saturating_add(RANGE));
        let (feed, range) = (&self.feed, self.position..=end);
        let topic = S::RESOURCE.topic();
        let events = outbox::changed(&feed.store, topic, self.scope.tenant(), range, PAGE as u64).await?;
        // After the read, which may lack events that were deleted in the meantime.
        if self.position < outbox_retention::pruned_through(&feed.store).await? {
            return Err(pruned());
        }
        let last = events.last().map(|event| event.revision);
        let is_more = events.len() == PAGE;
        let events = events.iter().filter(|event| !feed.holds(&event.key)).collect();
        let changes = feed.read(events).await?;
        self.read.extend(changes.into_iter().map(Message::from));
        self.then = if is_more { last } else { Some(end) };
        Ok(())
    }
}

impl<T> From<Change<T>> for Message<T> {
    fn from(change: Change<T>) -> Self {
        let Change { revision, key, state, .. } = change;
        match state {
            Some(state) => Self::Changed { revision, state },
            None => Self::Deleted { revision, key },
        }
    }
}
