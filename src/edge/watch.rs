//! A watch of one topic.

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use tokio::{sync::Notify, time::sleep};

use super::{Board, Material, State, Subscription, Topic, bookmark::Bookmark};
use crate::{
    base::{Cx, Drain, Error, Kind, Result, TenantScope, error::Reason},
    streams::in_place,
};

/// The longest time that a client is asked to wait before it connects again.
const RECONNECT: Duration = Duration::from_secs(5);
/// How long a watch waits for a state to come back before it ends.
const GRACE: Duration = Duration::from_secs(1);

/// An event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    State(Arc<Material>),
    Bookmark,
    Drain { reconnect_after: Duration },
}

/// A watch, and what its client has.
struct Watch {
    subscription: Subscription,
    bell: Arc<Notify>,
    drain: Drain,
    /// The digest of the last state that the client has.
    has: String,
    bookmark: Bookmark,
    /// The client knows that there is nothing newer.
    is_current: bool,
    /// The client has a state.
    had_state: bool,
    is_draining: bool,
}

/// Watches a topic. The state with the digest `has` is not sent: the first event is a bookmark then, as it is if there is none yet. The
/// stream ends with the error of `lost`, with the drain, or with NOT_FOUND if a state that the client has is gone. Fails if the caller has too
/// many streams.
pub fn watch<F>(
    cx: &Cx,
    board: &Board,
    (scope, topic): (TenantScope, Topic),
    has: String,
    lost: F,
) -> Result<impl Stream<Item = Result<(Event, String)>> + Send + 'static + use<F>>
where
    F: Future<Output = Error> + Send + 'static,
{
    let place = board.places().take(&cx.caller)?;
    let bell = Arc::new(Notify::new());
    let subscription = board.follow(scope, topic, &bell);
    let (bookmark, drain) = (Bookmark::new(), cx.drain.clone());
    // A client that resumes with a digest has a state; any other text is that of nothing that we sent.
    let had_state = has.starts_with("sha256:");
    let watch = Watch { subscription, bell, drain, has, bookmark, is_current: false, had_state, is_draining: false };
    let events = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(event) => Some((Ok((event, watch.has.clone())), Some(watch))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(in_place(events, place, lost))
}

impl Watch {
    async fn next(&mut self) -> Result<Event> {
        if self.is_draining {
            return Err(Drain::error());
        }
        loop {
            // At its begin all bells ring: [`Board::ring_at`].
            if self.drain.has_begun() {
                self.is_draining = true;
                return Ok(Event::Drain { reconnect_after: reconnect_after() });
            }
            match self.subscription.state() {
                State::Known(material) if *material.digest != self.has => {
                    self.has = material.digest.to_string();
                    (self.is_current, self.had_state) = (true, true);
                    self.bookmark.postpone();
                    return Ok(Event::State(material));
                }
                // A client that had a state must not keep it.
                State::Absent if self.had_state => {
                    // If the caller lost its rights, its stream ends with that error meanwhile.
                    sleep(GRACE).await;
                    match self.subscription.state() {
                        State::Absent => return Err(gone()),
                        State::Known(_) | State::Unknown => continue,
                    }
                }
                state @ (State::Known(_) | State::Absent) if !self.is_current => {
                    (self.is_current, self.had_state) = (true, matches!(state, State::Known(_)));
                    return Ok(Event::Bookmark);
                }
                State::Known(_) | State::Absent | State::Unknown => {}
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = self.bookmark.due() => return Ok(Event::Bookmark),
            }
        }
    }
}

/// What was watched is no longer there. A new call says why.
fn gone() -> Error {
    let text = "there is nothing for the caller now; do not use what came before";
    Error::new(Kind::NotFound, Reason::PolicyVersionNotFound, text)
}

/// How long to wait before connecting again. Random, so that not all clients come at once.
pub(super) fn reconnect_after() -> Duration {
    RECONNECT.mul_f64(rand::random())
}
