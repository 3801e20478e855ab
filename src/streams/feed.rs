//! The newest changes of one kind of resource, with their states, shared by all streams.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Demand, Source,
    follower::Follower,
    log::{CAPACITY, Change, Log, Next},
    source::{Readable, Selection},
};
use crate::{
    base::Result,
    store::{Store, outbox::Event},
};

/// The feed of one kind of resource.
pub struct Feed<S: Source> {
    pub(super) store: Store,
    pub(super) source: S,
    pub(super) demand: Demand,
    log: Mutex<Log<S::State>>,
    /// All changes up to this revision are known.
    head: watch::Sender<i64>,
    /// The keys of unreadable resources; each is logged once.
    unreadable: Mutex<HashSet<String>>,
}

impl<S: Source> Feed<S> {
    pub(super) fn new(store: Store, source: S, demand: Demand) -> Self {
        let (log, head) = (Mutex::new(Log::new(CAPACITY)), watch::Sender::new(0));
        Self { store, source, demand, log, head, unreadable: Mutex::default() }
    }

    /// Receives the newest known revision.
    pub(super) fn head(&self) -> watch::Receiver<i64> {
        self.head.subscribe()
    }

    /// The next change after a revision; `None` if the database has lost its newest events since [`rewinds`](Self::rewinds)
    /// returned this number.
    pub(super) fn after(&self, revision: i64, selection: &Selection, rewinds: u64) -> Option<Next<S::State>> {
        let log = self.log();
        (log.rewinds() == rewinds).then(|| log.after(revision, selection))
    }

    /// How many times the database lost its newest events.
    pub(super) fn rewinds(&self) -> u64 {
        self.log().rewinds()
    }

    /// Whether the newest change of a resource is in memory.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.log().holds(key)
    }

    /// The changes of these events, with the current states of their resources. The states are read after the events, so they are at
    /// least as new.
    pub(super) async fn read(&self, events: Vec<&Event>) -> Result<Vec<Change<S::State>>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = events.iter().map(|event| event.key.clone()).collect();
        let mut states = self.source.load(&keys).await?;
        let change = |event: &Event| {
            let state = match states.remove(&event.key) {
                Some(state) => Some(Arc::new(self.readable(&event.key, state)?)),
                None => None,
            };
            Some(Change { revision: event.revision, key: event.key.as_str().into(), tenant: event.tenant, state })
        };
        Ok(events.into_iter().filter_map(change).collect())
    }

    /// The state of a resource; `None` if it is unreadable.
    pub(super) fn readable(&self, key: &str, state: Readable<S::State>) -> Option<S::State> {
        let Err(error) = &state else { return state.ok() };
        if self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned()) {
            let (topic, cause) = (S::RESOURCE.topic(), error.cause.as_ref());
            tracing::error!(topic, key, %error, ?cause, "cannot read a resource; streams skip its changes");
        }
        None
    }

    fn log(&self) -> MutexGuard<'_, Log<S::State>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: Source> Follower for Feed<S> {
    fn name(&self) -> &'static str {
        S::RESOURCE.topic()
    }

    async fn process(&self, events: &[Event], through: i64) -> Result<()> {
        let changes = self.read(newest(events, S::RESOURCE.topic())).await?;
        self.log().append(changes, through);
        self.head.send_replace(through);
        Ok(())
    }

    fn restart(&self, at: i64) {
        self.log().restart(at);
        self.head.send_replace(at);
    }

    fn rewind(&self, to: i64) {
        self.log().rewind(to);
        self.head.send_replace(to);
    }
}

impl<S: Source> std::fmt::Debug for Feed<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({}, {})", S::RESOURCE.topic(), *self.head.borrow())
    }
}

/// The last event of each resource of a topic, ordered by revision.
fn newest<'e>(events: &'e [Event], topic: &str) -> Vec<&'e Event> {
    let of_topic = || events.iter().filter(|event| event.topic == topic);
    let last: HashMap<_, _> = of_topic().map(|event| (event.key.as_str(), event.revision)).collect();
    of_topic().filter(|event| last.get(event.key.as_str()) == Some(&event.revision)).collect()
}
