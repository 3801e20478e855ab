//! One stream: the current states of all resources in its scope, a bookmark, and then each change; or, if the client resumes after a
//! revision, only the changes since then.
//!
//! No gap: the position is read first, then the states, then the changes after the position. A change that is committed in between
//! may already be in the states; it is sent again, with its revision and a state that is not older.
//!
//! No queue: a stream has a position and at most [`PAGE`] states that were read for it. Changes that a client has not read yet stay
//! in the outbox, or in the memory that all streams share; when it reads on, it gets the newest state of each resource.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{Feed, OpenStream, Readable, Selection, Source, log::Next};
use crate::{
    base::{Error, Kind, Result, error::Reason},
    store::{apart, outbox, outbox_retention},
};

/// How many states are read at a time.
pub(super) const PAGE: usize = 32;
/// The time without a message after which a bookmark is sent; up to a quarter more, at random.
const BOOKMARK: Duration = Duration::from_secs(10);

/// A message of a stream. A client can resume after every revision that it has received.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<T> {
    /// The current state of a resource, at the beginning of a stream. It has no revision, so a client cannot resume after it.
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
    /// All changes up to this revision were sent.
    Bookmark(i64),
}

/// One stream.
pub struct Watch<S: Source> {
    pub(super) feed: Arc<Feed<S>>,
    pub(super) selection: Selection,
    /// All changes up to this revision were sent.
    pub(super) position: i64,
    /// Messages that were read and not sent yet.
    pub(super) read: VecDeque<Message<S::State>>,
    /// The position after them.
    pub(super) then: Option<i64>,
    snapshot: Option<Snapshot>,
    /// The newest revision when the stream was opened. A bookmark is sent once the stream has reached it.
    present: Option<i64>,
    head: watch::Receiver<i64>,
    /// [`Feed::rewinds`] when the stream was opened.
    rewinds: u64,
    /// When the next bookmark is due.
    bookmark: Instant,
    _open: OpenStream,
}

/// Current states remain to be read, after this key.
struct Snapshot(Option<String>);

impl<S: Source> Watch<S> {
    /// Opens a stream that resumes after `revision`; with 0 it begins with the current states. Fails with OUT_OF_RANGE if changes after
    /// the revision have been deleted, or if the revision does not exist.
    pub async fn open(feed: &Arc<Feed<S>>, selection: impl Into<Selection>, revision: i64) -> Result<Self> {
        let selection = selection.into();
        if revision < 0 {
            let text = "revision must not be negative";
            return Err(Error::invalid(Reason::InvalidArgument, "revision", text));
        }
        // Counted first: the outbox is read from now on, so no change after the position is missed.
        let (open, head, rewinds) = (feed.demand.open(), feed.head(), feed.rewinds());
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
            selection,
            position: if begins { newest } else { revision },
            read: VecDeque::new(),
            then: None,
            snapshot: begins.then_some(Snapshot(None)),
            present: Some(newest),
            head,
            rewinds,
            bookmark: next_bookmark(),
            _open: open,
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

    /// The next message. Revisions increase, and each is sent once.
    async fn next(&mut self) -> Result<Message<S::State>> {
        loop {
            if let Some(message) = self.next_known().await? {
                self.bookmark = next_bookmark();
                return Ok(message);
            }
            // Fails only if the sender is dropped, and the feed owns it.
            let is_more_known = timeout_at(self.bookmark, self.head.changed()).await;
            if is_more_known.is_err() {
                self.bookmark = next_bookmark();
                return Ok(Message::Bookmark(self.position));
            }
        }
    }

    /// The next message that needs no waiting for a change, if there is one.
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
            // Before the check, so that a later change is noticed.
            self.head.mark_unchanged();
            match self.feed.after(self.position, &self.selection, self.rewinds).ok_or_else(unknown)? {
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

    /// Reads the next page of current states.
    async fn read_page(&mut self, after: Option<String>) -> Result<()> {
        let (feed, selection) = (self.feed.clone(), self.selection.clone());
        let page = apart(async move { page(&feed.source, &selection, after.as_deref()).await }).await?;
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

/// A page of the current states that a stream sends.
async fn page<S: Source>(
    source: &S,
    selection: &Selection,
    after: Option<&str>,
) -> Result<Vec<(String, Readable<S::State>)>> {
    match &selection.key {
        None => source.page(selection.scope, after, PAGE as u64).await,
        Some(key) => Ok(source.load(&[key.as_ref().to_owned()]).await?.into_iter().collect()),
    }
}

/// When the next bookmark is due. Random, so that not all streams send theirs at once.
fn next_bookmark() -> Instant {
    Instant::now() + BOOKMARK.mul_f64(rand::random_range(1.0..1.25))
}

fn unknown() -> Error {
    let text = "the revision does not exist; the database may have been restored; start again without a revision";
    Error::new(Kind::OutOfRange, Reason::RevisionUnknown, text)
}

pub(super) fn pruned() -> Error {
    let text = "changes after the revision have been deleted; start again without a revision";
    Error::new(Kind::OutOfRange, Reason::RevisionPruned, text)
}
