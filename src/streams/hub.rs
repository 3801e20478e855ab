//! The one reader of the outbox in a process.
//!
//! It reads while a stream is open, and otherwise does nothing: one query by the index of the revisions whenever this process has
//! numbered events, and otherwise a few times a second for those of other processes.

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
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Feed, Source,
    cursor::{Cursor, RETRY},
    follower::{Demand, Follower},
};
use crate::{
    base::Result,
    store::{
        Store,
        outbox::{self, Event},
    },
};

/// Most events of one read.
const BATCH: u64 = 500;
/// How often events of other servers are looked for.
const POLL: Duration = Duration::from_millis(100);
/// The same on SQLite, where only commands write besides the server.
const POLL_SQLITE: Duration = Duration::from_millis(250);

/// Reads the outbox for its followers.
pub struct Hub {
    store: Store,
    demand: Demand,
    cursors: Vec<Cursor>,
    /// Whether the cursors are where the reading is: not after a time in which nothing was read.
    is_reading: AtomicBool,
}

impl Hub {
    /// A hub without followers.
    pub fn new(store: &Store) -> Self {
        let demand = Arc::new(watch::Sender::new(0));
        Self { store: store.clone(), demand, cursors: Vec::new(), is_reading: AtomicBool::new(false) }
    }

    /// The feed of a kind of resource.
    pub fn feed<S: Source>(&mut self, source: S) -> Arc<Feed<S>> {
        let feed = Arc::new(Feed::new(self.store.clone(), source, self.demand.clone()));
        self.follow(feed.clone());
        feed
    }

    /// Hands a follower what is read from now on.
    pub fn follow(&mut self, follower: Arc<dyn Follower>) {
        self.cursors.push(Cursor::new(follower));
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
                self.is_reading.store(false, Ordering::Relaxed);
                // Fails only without a sender, and the hub holds one.
                let _ = demand.wait_for(|open| *open > 0).await;
            }
            let step = self.step().await;
            match (&step, failing) {
                (Err(error), false) => {
                    let cause = error.cause.as_ref();
                    tracing::warn!(%error, ?cause, "cannot read the outbox; streams wait until it can be read");
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
        if !self.is_reading.load(Ordering::Relaxed) {
            let newest = outbox::newest(&self.store).await?;
            self.cursors.iter().for_each(|cursor| cursor.restart(newest));
            self.is_reading.store(true, Ordering::Relaxed);
            return Ok(true);
        }
        let mut is_more = false;
        let due: Vec<_> = self.cursors.iter().filter_map(|cursor| Some((cursor.due()?, cursor))).collect();
        // One read serves all that are at the same position: all of them, unless one failed.
        for position in due.iter().map(|(at, _)| *at).collect::<BTreeSet<_>>() {
            let Some(events) = self.after(position).await? else { return self.rewind().await };
            let Some(through) = events.last().map(|event| event.revision) else { continue };
            let there = due.iter().filter(|(at, _)| *at == position);
            join_all(there.map(|(_, cursor)| cursor.hand(&events, through))).await;
            is_more |= events.len() as u64 >= BATCH;
        }
        Ok(is_more)
    }

    /// The events after a position; `None` if the database has lost what was there.
    async fn after(&self, position: i64) -> Result<Option<Vec<Event>>> {
        // With the event at the position, which shows that nothing was lost without another query.
        let mut events = outbox::after(&self.store, position - 1, BATCH + 1).await?;
        if events.first().is_some_and(|event| event.revision == position) {
            events.remove(0);
        } else if outbox::newest(&self.store).await? < position {
            return Ok(None);
        }
        Ok(Some(events))
    }

    /// Goes on at the end of a database that lost its newest events, as after a failover to a standby that had not received them.
    async fn rewind(&self) -> Result<bool> {
        let newest = outbox::newest(&self.store).await?;
        tracing::warn!(newest, "the newest events of the outbox are gone; streams end, and clients begin again");
        self.cursors.iter().for_each(|cursor| cursor.rewind(newest));
        Ok(true)
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("cursors", &self.cursors).field("open", &self.open_streams()).finish()
    }
}
