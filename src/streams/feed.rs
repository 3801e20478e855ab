//! The newest changes of one kind of resource, with their states, shared by all streams.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Source,
    follower::{Demand, Follower},
    log::{CAPACITY, Change, Log, Next},
    source::Reach,
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
    /// Through which revision all is known.
    head: watch::Sender<i64>,
}

impl<S: Source> Feed<S> {
    pub(super) fn new(store: Store, source: S, demand: Demand) -> Self {
        Self { store, source, demand, log: Mutex::new(Log::new(CAPACITY)), head: watch::Sender::new(0) }
    }

    /// Notices when more is known.
    pub(super) fn head(&self) -> watch::Receiver<i64> {
        self.head.subscribe()
    }

    pub(super) fn after(&self, revision: i64, reach: Reach) -> Next<S::State> {
        self.log().after(revision, reach)
    }

    /// Whether the newest change of a resource is in memory.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.log().holds(key)
    }

    fn log(&self) -> MutexGuard<'_, Log<S::State>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: Source> Follower for Feed<S> {
    async fn take(&self, events: &[Event], through: i64) -> Result<()> {
        let changes = read(&self.source, newest(events, S::RESOURCE.topic())).await?;
        self.log().append(changes, through);
        self.head.send_replace(through);
        Ok(())
    }

    fn restart(&self, at: i64) {
        self.log().restart(at);
        self.head.send_replace(at);
    }
}

impl<S: Source> std::fmt::Debug for Feed<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({}, {})", S::RESOURCE.topic(), *self.head.borrow())
    }
}

/// The last event of each resource of a topic, in the order of their revisions.
fn newest<'e>(events: &'e [Event], topic: &str) -> Vec<&'e Event> {
    let of_topic = || events.iter().filter(|event| event.topic == topic);
    let last: HashMap<_, _> = of_topic().map(|event| (event.key.as_str(), event.revision)).collect();
    of_topic().filter(|event| last.get(event.key.as_str()) == Some(&event.revision)).collect()
}

/// The changes that events tell of, with the states that their resources have now. The states are read after the events, so they
/// are at least as new.
pub(super) async fn read<S: Source>(source: &S, events: Vec<&Event>) -> Result<Vec<Change<S::State>>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = events.iter().map(|event| event.key.clone()).collect();
    let mut states = source.load(&keys).await?;
    let changes = events.into_iter().map(|event| Change {
        revision: event.revision,
        key: event.key.as_str().into(),
        tenant: event.tenant,
        state: states.remove(&event.key).map(Arc::new),
    });
    Ok(changes.collect())
}
