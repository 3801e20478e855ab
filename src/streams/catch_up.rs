//! Reading the outbox for a stream whose position is older than the changes in memory, because its client resumes after a while or
//! reads slowly.

use std::sync::Arc;

use super::{
    Feed, Message, Selection, Source, Watch,
    log::Change,
    watch::{PAGE, pruned},
};
use crate::{
    base::Result,
    store::{
        apart,
        outbox::{self, Event},
        outbox_retention,
    },
};

/// Maximum number of revisions in one query. The query groups them by resource for each page, so an unbounded range would be too
/// expensive.
const RANGE: i64 = 1024;

impl<S: Source> Watch<S> {
    /// Reads the last change of each resource in a range after the position. The range ends at `start` or earlier, where the changes in
    /// memory begin. A resource with a later change in memory is skipped.
    pub(super) async fn catch_up(&mut self, start: i64) -> Result<()> {
        let end = start.min(self.position.saturating_add(RANGE));
        let (changes, then) = apart(read(self.feed.clone(), self.selection.clone(), self.position, end)).await?;
        self.read.extend(changes.into_iter().map(Message::from));
        self.then = Some(then);
        Ok(())
    }
}

/// Reads at most a page of the changes after `position` and up to `end`, and returns the position after them.
async fn read<S: Source>(
    feed: Arc<Feed<S>>,
    selection: Selection,
    position: i64,
    end: i64,
) -> Result<(Vec<Change<S::State>>, i64)> {
    let topic = S::RESOURCE.topic();
    let events = outbox::changed(&feed.store, topic, selection.scope.tenant(), position..=end, PAGE as u64).await?;
    // After the read, which may lack events that were deleted in the meantime.
    if position < outbox_retention::pruned_through(&feed.store).await? {
        return Err(pruned());
    }
    let last = events.last().map(|event| event.revision).filter(|_| events.len() == PAGE);
    let wanted = |event: &&_| is_wanted(&feed, &selection, event);
    Ok((feed.read(events.iter().filter(wanted).collect()).await?, last.unwrap_or(end)))
}

/// Whether a stream sends the change of an event that was read from the outbox.
fn is_wanted<S: Source>(feed: &Feed<S>, selection: &Selection, event: &Event) -> bool {
    selection.takes(event.tenant, &event.key) && !feed.holds(&event.key)
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
