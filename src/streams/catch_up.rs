//! What a stream reads that is behind the changes in memory: a client that resumes after a while, or reads slowly.

use super::{
    Message, Source, Watch,
    log::Change,
    watch::{PAGE, pruned},
};
use crate::{
    base::Result,
    store::{outbox, outbox_retention},
};

/// How many revisions are read at most. They are grouped for each page of a watch, so that all of them would cost too much.
const RANGE: i64 = 1024;

impl<S: Source> Watch<S> {
    /// Reads the last change of each resource in a range after the position, which ends at `start` at most, where the changes in memory
    /// begin. A resource that changed again since is left out: its change is in memory.
    pub(super) async fn catch_up(&mut self, start: i64) -> Result<()> {
        let end = start.min(self.position.saturating_add(RANGE));
        let (feed, range) = (&self.feed, self.position..=end);
        let topic = S::RESOURCE.topic();
        let events = outbox::changed(&feed.store, topic, self.reach.tenant(), range, PAGE as u64).await?;
        // After the read: what was deleted meanwhile is missing in it.
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
