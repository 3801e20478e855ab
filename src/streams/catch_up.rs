//! Reading the outbox for a stream whose position is older than the changes in memory, because its client resumes after a while or
//! reads slowly.

use std::sync::Arc;

use super::{
    Feed, Message, Source, Watch, WatchScope,
    log::Change,
    watch::{PAGE, pruned},
};
use crate::{
    base::Result,
    store::{apart, outbox, outbox_retention},
};

/// Maximum number of revisions in one query. The query groups them by resource for each page, so an unbounded range would be too
/// expensive.
const RANGE: i64 = 1024;

impl<S: Source> Watch<S> {
    /// Reads the last change of each resource in a range after the position. The range ends at `start` or earlier, where the changes in
    /// memory begin. A resource with a later change in memory is skipped.
    pub(super) async fn catch_up(&mut self, start: i64) -> Result<()> {
        let end = start.min(self.position.saturating_add(RANGE));
        let (changes, then) = apart(read(self.feed.clone(), self.scope, self.position, end)).await?;
        self.read.extend(changes.into_iter().map(Message::from));
        self.then = Some(then);
        Ok(())
    }
}

/// Reads at most a page of the changes after `position` and up to `end`, and returns the position after them.
async fn read<S: Source>(
    feed: Arc<Feed<S>>,
    scope: WatchScope,
    position: i64,
    end: i64,
) -> Result<(Vec<Change<S::State>>, i64)> {
    let topic = S::RESOURCE.topic();
    let events = outbox::changed(&feed.store, topic, scope.tenant(), position..=end, PAGE as u64).await?;
    // After the read, which may lack events that were deleted in the meantime.
    if position < outbox_retention::pruned_through(&feed.store).await? {
        return Err(pruned());
    }
    let last = events.last().map(|event| event.revision).filter(|_| events.len() == PAGE);
    let events = events.iter().filter(|event| !feed.holds(&event.key)).collect();
    Ok((feed.read(events).await?, last.unwrap_or(end)))
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
