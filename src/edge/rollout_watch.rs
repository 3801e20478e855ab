//! A watch of the rollout: the state of each gateway first, and then each change.
//!
//! Changes only wake it; it then reads the gateways page by page, and sends those that differ from what its client has. It has no queue
//! beyond a page, so a client that reads slowly gets the newest states alone.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, stream};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{
    bookmark::Bookmark,
    rollout::{self, Rollout},
    watch::reconnect_after,
};
use crate::{
    base::{Cx, Drain, Error, PageRequest, Result, TenantScope, page::ListId},
    store::{Stamp, Store, apart},
    streams::{Changes, Interest, Place, Waiter, in_place},
};

/// Gateways that are read at once.
const PAGE: u64 = 200;
/// The shortest time between two readings. Reports are written once a second.
const PAUSE: Duration = Duration::from_secs(1);

/// An event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutEvent {
    State(Box<Rollout>),
    /// A gateway that is gone.
    Removed(Uuid),
    Bookmark,
    Drain {
        reconnect_after: Duration,
    },
}

/// A watch, and what its client has.
struct Watch {
    store: Store,
    scope: TenantScope,
    waiter: Waiter,
    drain: Drain,
    /// A digest of the last state of each gateway that was sent, and the reading that found it.
    sent: HashMap<Uuid, (u64, u64)>,
    queue: VecDeque<RolloutEvent>,
    stage: Stage,
    /// The number of the reading.
    reading: u64,
    /// When the reading began.
    began: Instant,
    bookmark: Bookmark,
}

enum Stage {
    /// The next page is the one after this gateway.
    Reading(Option<Uuid>),
    /// Everything was read.
    Waiting,
    /// The client knows that the server shuts down.
    Draining,
}

/// Watches the rollout of a tenant, in a place. The stream ends with the error of `lost`, or with the drain.
pub fn watch<F>(
    cx: &Cx,
    store: &Store,
    changes: &Arc<Changes>,
    (scope, place): (TenantScope, Option<Place>),
    lost: F,
) -> impl Stream<Item = Result<RolloutEvent>> + Send + 'static + use<F>
where
    F: Future<Output = Error> + Send + 'static,
{
    let watch = Watch {
        store: store.clone(),
        scope,
        // Before the first reading, so that no change is missed.
        waiter: changes.of(scope.tenant(), Interest::Rollout, Vec::new()),
        drain: cx.drain.clone(),
        sent: HashMap::new(),
        queue: VecDeque::new(),
        stage: Stage::Reading(None),
        reading: 1,
        began: Instant::now(),
        bookmark: Bookmark::new(),
    };
    let events = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(event) => Some((Ok(event), Some(watch))),
            Err(error) => Some((Err(error), None)),
        }
    });
    in_place(events, place, lost)
}

impl Watch {
    async fn next(&mut self) -> Result<RolloutEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                self.bookmark.postpone();
                return Ok(event);
            }
            match self.stage {
                Stage::Reading(after) => self.read(after).await?,
                Stage::Waiting => self.wait().await,
                Stage::Draining => return Err(Drain::error()),
            }
        }
    }

    /// Reads a page, and queues what the client does not have.
    async fn read(&mut self, after: Option<Uuid>) -> Result<()> {
        let (store, scope) = (self.store.clone(), self.scope);
        let request = PageRequest { limit: PAGE, after, total: Some(0), list: ListId::new("", b"") };
        let page = apart(async move { rollout::read(&store, scope, request).await }).await?;
        let last = page.items.last().map(|rollout| rollout.gateway.id);
        for rollout in page.items {
            let (id, state) = (rollout.gateway.id, digest(&rollout));
            let known = self.sent.insert(id, (state, self.reading));
            if known.is_none_or(|(before, _)| before != state) {
                self.queue.push_back(RolloutEvent::State(Box::new(rollout)));
            }
        }
        self.stage = match page.next.and(last) {
            Some(last) => Stage::Reading(Some(last)),
            None => {
                let reading = self.reading;
                let gone: Vec<_> = self.sent.extract_if(|_, (_, found)| *found != reading).map(|(id, _)| id).collect();
                self.queue.extend(gone.into_iter().map(RolloutEvent::Removed));
                if reading == 1 {
                    self.queue.push_back(RolloutEvent::Bookmark);
                }
                Stage::Waiting
            }
        };
        Ok(())
    }

    /// Waits for a change, and for the time of the next reading.
    async fn wait(&mut self) {
        // Not before the pause is over: what changes until then is read together.
        let (pause, waiter) = (self.began + PAUSE, &mut self.waiter);
        let changed = async {
            sleep_until(pause).await;
            waiter.changed().await;
        };
        tokio::select! {
            () = changed => {
                (self.stage, self.reading, self.began) = (Stage::Reading(None), self.reading + 1, Instant::now());
            }
            () = self.bookmark.due() => self.queue.push_back(RolloutEvent::Bookmark),
            () = self.drain.draining() => {
                self.queue.push_back(RolloutEvent::Drain { reconnect_after: reconnect_after() });
                self.stage = Stage::Draining;
            }
        }
    }
}

/// A digest of what a client sees of a gateway, without the time for which it lacks its version.
fn digest(rollout: &Rollout) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&rollout.gateway.name, rollout.gateway.pool_id).hash(&mut hasher);
    rollout.wanted.map(|wanted| (wanted.version, wanted.channel.as_str(), wanted.since.micros())).hash(&mut hasher);
    let reported = rollout.reported.as_ref().map(|row| {
        let of = |number, at: Option<Stamp>| (number, at.map(Stamp::micros));
        (of(row.applied_number, row.applied_at), of(row.refused_number, row.refused_at))
    });
    reported.hash(&mut hasher);
    hasher.finish()
}
