//! The one reader of the outbox in a process.
//!
//! It reads only while a stream is open: with one query by revision, after this process has numbered events, and otherwise a few
//! times a second for the events of other processes.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use sea_orm::DbBackend;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Changes, Demand, Feed, Source,
    cursor::{Cursor, RETRY},
    follower::Follower,
};
use crate::{
    base::Result,
    store::{
        Store,
        outbox::{self, Event},
    },
};

/// Maximum number of events in one read.
const BATCH: u64 = 500;
/// How often the outbox is checked for events of other servers.
const POLL: Duration = Duration::from_millis(100);
/// The same on SQLite, where commands are the only other writers.
const POLL_SQLITE: Duration = Duration::from_millis(250);

/// Reads the outbox for its followers.
pub struct Hub {
    store: Store,
    demand: Demand,
    cursors: Vec<Cursor>,
    /// Whether the cursors have current positions. Not after a time without open streams, in which nothing is read.
    is_reading: AtomicBool,
}

impl Hub {
    /// A hub without followers.
    pub fn new(store: &Store) -> Self {
        let demand = Demand::new();
        Self { store: store.clone(), demand, cursors: Vec::new(), is_reading: AtomicBool::new(false) }
    }

    /// Adds the feed of a kind of resource.
    pub fn feed<S: Source>(&mut self, source: S) -> Arc<Feed<S>> {
        let feed = Arc::new(Feed::new(self.store.clone(), source, self.demand.clone()));
        self.follow(feed.clone());
        feed
    }

    /// Adds a follower that wakes calls.
    pub fn changes(&mut self) -> Arc<Changes> {
        let changes = Arc::new(Changes::new(self.demand.clone()));
        self.follow(changes.clone());
        changes
    }

    /// Adds a follower, which gets the events that are read from now on.
    pub fn follow(&mut self, follower: Arc<dyn Follower>) {
        self.cursors.push(Cursor::new(follower));
    }

    /// The count of open streams, for streams of other kinds.
    pub fn demand(&self) -> Demand {
        self.demand.clone()
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        self.demand.count()
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
                self.is_reading.store(false, Ordering::Relaxed);
                // Fails only if the sender is dropped, and the hub owns it.
                let _ = demand.wait_for(|open| *open > 0).await;
            }
            let step = self.step().await;
            match (&step, failing) {
                (Err(error), false) => {
                    let cause = error.cause.as_ref();
                    tracing::warn!(%error, ?cause, "cannot read the outbox; streams are delayed; trying again");
                }
                (Ok(_), true) => tracing::info!("reading the outbox again"),
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
        if !self.is_reading.load(Ordering::Relaxed) {
            let newest = outbox::newest(&self.store).await?;
            self.cursors.iter().for_each(|cursor| cursor.restart(newest));
            self.is_reading.store(true, Ordering::Relaxed);
            return Ok(true);
        }
        let mut is_more = false;
        let due: Vec<_> = self.cursors.iter().filter_map(|cursor| Some((cursor.due()?, cursor))).collect();
        // One read serves all followers at the same position, which is all of them unless one has failed.
        for position in due.iter().map(|(at, _)| *at).collect::<BTreeSet<_>>() {
            let Some(events) = self.after(position).await? else { return self.rewind().await };
            let Some(through) = events.last().map(|event| event.revision) else { continue };
            let there = due.iter().filter(|(at, _)| *at == position);
            join_all(there.map(|(_, cursor)| cursor.deliver(&events, through))).await;
            is_more |= events.len() as u64 >= BATCH;
        }
        Ok(is_more)
    }

    /// The events after a position; `None` if the database has lost the event at the position.
    async fn after(&self, position: i64) -> Result<Option<Vec<Event>>> {
        // Includes the event at the position: if it is there, nothing was lost, and no second query is needed.
        let mut events = outbox::after(&self.store, position - 1, BATCH + 1).await?;
        if events.first().is_some_and(|event| event.revision == position) {
            events.remove(0);
        } else if outbox::newest(&self.store).await? < position {
            return Ok(None);
        }
        Ok(Some(events))
    }

    /// Continues at the end of the outbox after the database lost its newest events, for example in a failover to a standby that had
    /// not received them.
    async fn rewind(&self) -> Result<bool> {
        let newest = outbox::newest(&self.store).await?;
        tracing::warn!(newest, "the database lost the newest outbox events; open streams are terminated");
        self.cursors.iter().for_each(|cursor| cursor.rewind(newest));
        Ok(true)
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("cursors", &self.cursors).field("open", &self.open_streams()).finish()
    }
}
