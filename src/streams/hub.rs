//! The one reader of the outbox in a process.
//!
//! It reads while a stream is open, and otherwise does nothing: one query by the index of the revisions whenever this process has
//! numbered events, and otherwise a few times a second for those of other processes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::DbBackend;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Feed, Source,
    follower::{Demand, Follower},
};
use crate::{
    base::Result,
    store::{Store, outbox},
};

/// Most events of one read.
const BATCH: u64 = 500;
/// How often events of other servers are looked for.
const POLL: Duration = Duration::from_millis(100);
/// The same on SQLite, where only commands write besides the server.
const POLL_SQLITE: Duration = Duration::from_millis(250);
/// The delay after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// Reads the outbox for its followers.
pub struct Hub {
    store: Store,
    demand: Demand,
    followers: Vec<Arc<dyn Follower>>,
    /// The last revision that was read; `None` after a time in which nothing was read.
    position: Mutex<Option<i64>>,
}

impl Hub {
    /// A hub without followers.
    pub fn new(store: &Store) -> Self {
        let demand = Arc::new(watch::Sender::new(0));
        Self { store: store.clone(), demand, followers: Vec::new(), position: Mutex::new(None) }
    }

    /// The feed of a kind of resource.
    pub fn feed<S: Source>(&mut self, source: S) -> Arc<Feed<S>> {
        let feed = Arc::new(Feed::new(self.store.clone(), source, self.demand.clone()));
        self.follow(feed.clone());
        feed
    }

    /// Hands a follower what is read from now on.
    pub fn follow(&mut self, follower: Arc<dyn Follower>) {
        self.followers.push(follower);
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        *self.demand.borrow()
    }

    /// Reads until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::select! {
            () = self.read() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn read(&self) {
        let mut demand = self.demand.subscribe();
        let poll = if self.store.backend() == DbBackend::Sqlite { POLL_SQLITE } else { POLL };
        let mut failing = false;
        loop {
            if *demand.borrow_and_update() == 0 {
                self.set_position(None);
                // Fails only without a sender, and the hub holds one.
                let _ = demand.wait_for(|open| *open > 0).await;
            }
            let step = self.step().await;
            match (&step, failing) {
                (Err(error), false) => {
                    tracing::warn!(%error, "cannot read the outbox; streams wait until it can be read")
                }
                (Ok(_), true) => tracing::info!("the outbox can be read again"),
                _ => {}
            }
            failing = step.is_err();
            match step {
                Ok(true) => {}
                Ok(false) => tokio::select! {
                    () = sleep(poll) => {}
                    () = self.store.numbered().activated() => {}
                },
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// Reads once. Returns whether there may be more.
    async fn step(&self) -> Result<bool> {
        let Some(position) = self.position() else {
            let newest = outbox::newest(&self.store).await?;
            self.followers.iter().for_each(|follower| follower.restart(newest));
            self.set_position(Some(newest));
            return Ok(true);
        };
        let events = outbox::after(&self.store, position, BATCH).await?;
        let Some(through) = events.last().map(|event| event.revision) else { return Ok(false) };
        for follower in &self.followers {
            follower.take(&events, through).await?;
        }
        self.set_position(Some(through));
        Ok(events.len() as u64 >= BATCH)
    }

    fn position(&self) -> Option<i64> {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_position(&self, position: Option<i64>) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("position", &self.position()).field("open", &self.open_streams()).finish()
    }
}
