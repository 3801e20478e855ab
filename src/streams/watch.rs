//! One stream: the current state of all that it can reach, a bookmark, and then each change; or, from a revision on, what has
//! changed since.
//!
//! No gap: the position is read first, then the states, then the changes after the position. So a change that comes in between
//! may be in the states already; it comes once more, with its revision and a state that is not older.
//!
//! No queue: a stream holds a position, and at most [`PAGE`] states that were read for it. What happens while a client does not
//! read stays in the outbox, or in the memory that all streams share; afterwards it gets the newest state of each resource.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{Feed, Reach, Source, follower::Wanted, log::Next};
use crate::{
    base::{Error, Kind, Result, error::Reason},
    store::{outbox, outbox_retention},
};

/// How many states are read at a time.
pub(super) const PAGE: usize = 32;
/// A stream without a change gets a bookmark so often, and up to a quarter later.
const BOOKMARK: Duration = Duration::from_secs(10);

/// A message of a stream. A client can resume after every revision that it got.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<T> {
    /// A resource as it is. The others that are there follow, so nobody can resume after it.
    Current(Arc<T>),
    /// A resource after a change.
    Changed {
        /// The revision of the change.
        revision: i64,
        /// The newest state.
        state: Arc<T>,
    },
    /// A resource was deleted.
    Deleted {
        /// The revision of the deletion.
        revision: i64,
        /// The key of the resource.
        key: Arc<str>,
    },
    /// All through this revision was sent.
    Bookmark(i64),
}

/// One stream.
pub struct Watch<S: Source> {
    pub(super) feed: Arc<Feed<S>>,
    pub(super) reach: Reach,
    /// All through this revision was sent.
    pub(super) position: i64,
    /// What was read for this stream and is not sent yet; the position after it.
    pub(super) read: VecDeque<Message<S::State>>,
    pub(super) then: Option<i64>,
    snapshot: Option<Snapshot>,
    /// From here on nothing is old: the client is told once.
    present: Option<i64>,
    head: watch::Receiver<i64>,
    /// How often the database had lost its newest events when the stream was opened.
    rewinds: u64,
    bookmark: Instant,
    _wanted: Wanted,
}

/// Where the reading of the current states is: after this key.
struct Snapshot(Option<String>);

impl<S: Source> Watch<S> {
    /// Opens a stream. `revision` is where a client resumes; 0 begins with the current states. Fails with OUT_OF_RANGE if what
    /// happened after the revision is not known any more, or if there is no such revision yet.
    pub async fn open(feed: &Arc<Feed<S>>, reach: Reach, revision: i64) -> Result<Self> {
        if revision < 0 {
            let text = "revision must not be negative";
            return Err(Error::invalid(Reason::InvalidArgument, "revision", text));
        }
        // The outbox is read from now on, so nothing after the position is missed.
        let (wanted, head, rewinds) = (Wanted::new(&feed.demand), feed.head(), feed.rewinds());
        let newest = outbox::newest(&feed.store).await?;
        if revision > newest {
            return Err(unknown());
        }
        if revision > 0 && revision < outbox_retention::pruned_through(&feed.store).await? {
            return Err(pruned());
        }
        let begins = revision == 0;
        Ok(Self {
            feed: feed.clone(),
            reach,
            position: if begins { newest } else { revision },
            read: VecDeque::new(),
            then: None,
            snapshot: begins.then_some(Snapshot(None)),
            present: Some(newest),
            head,
            rewinds,
            bookmark: next_bookmark(),
            _wanted: wanted,
        })
    }

    /// The messages. The stream ends only with an error.
    pub fn messages(self) -> impl Stream<Item = Result<Message<S::State>>> + Send + 'static {
        stream::unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            match watch.next().await {
                Ok(message) => Some((Ok(message), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The next message. A revision is sent once, and they grow.
    async fn next(&mut self) -> Result<Message<S::State>> {
        loop {
            if let Some(message) = self.next_known().await? {
                self.bookmark = next_bookmark();
                return Ok(message);
            }
            // Fails only without a sender, and the feed holds one.
            let is_more_known = timeout_at(self.bookmark, self.head.changed()).await;
            if is_more_known.is_err() {
                self.bookmark = next_bookmark();
                return Ok(Message::Bookmark(self.position));
            }
        }
    }

    /// The next message that is there without waiting for a change.
    async fn next_known(&mut self) -> Result<Option<Message<S::State>>> {
        loop {
            if let Some(message) = self.read.pop_front() {
                return Ok(Some(self.sent(message)));
            }
            self.position = self.then.take().unwrap_or(self.position);
            if let Some(Snapshot(after)) = self.snapshot.take() {
                self.read_page(after).await?;
                continue;
            }
            // Before the look, so that a change in between is noticed.
            self.head.mark_unchanged();
            match self.feed.after(self.position, self.reach, self.rewinds).ok_or_else(unknown)? {
                Next::Change(change) => return Ok(Some(self.sent(change.into()))),
                Next::Behind(start) => self.catch_up(start).await?,
                Next::Nothing(head) => {
                    self.position = self.position.max(head);
                    let is_present = self.present.take_if(|newest| *newest <= self.position);
                    return Ok(is_present.map(|_| Message::Bookmark(self.position)));
                }
            }
        }
    }

    fn sent(&mut self, message: Message<S::State>) -> Message<S::State> {
        if let Message::Changed { revision, .. } | Message::Deleted { revision, .. } = &message {
            self.position = *revision;
        }
        message
    }

    /// Reads the next current states.
    async fn read_page(&mut self, after: Option<String>) -> Result<()> {
        let page = self.feed.source.page(self.reach, after.as_deref(), PAGE as u64).await?;
        if page.len() == PAGE {
            self.snapshot = page.last().map(|(key, _)| Snapshot(Some(key.clone())));
        }
        let states = page.into_iter().filter_map(|(key, state)| self.feed.readable(&key, state));
        self.read.extend(states.map(|state| Message::Current(Arc::new(state))));
        Ok(())
    }
}

impl<S: Source> std::fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("position", &self.position)
            .field("read", &self.read.len())
            .finish_non_exhaustive()
    }
}

/// When a stream that has nothing to say says so. Not all streams at once.
fn next_bookmark() -> Instant {
    Instant::now() + BOOKMARK.mul_f64(rand::random_range(1.0..1.25))
}

fn unknown() -> Error {
    let text = "the revision does not exist yet; the database may have been restored: begin without a revision";
    Error::new(Kind::OutOfRange, Reason::RevisionUnknown, text)
}

pub(super) fn pruned() -> Error {
    let text = "the changes after the revision are not kept any more; begin without a revision";
    Error::new(Kind::OutOfRange, Reason::RevisionPruned, text)
}
