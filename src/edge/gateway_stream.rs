//! The stream of one gateway.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{
    Board, Material, Reports, State, Subscription, Topic, bookmark::Bookmark, measures, watch::reconnect_after,
};
use crate::{
    base::{Cx, Drain, Error, Result, TenantScope, error::Reason},
    streams::{Place, abort_when, or_replaced},
    trust::Trust,
};

/// How long the first message of a gateway may take.
const FIRST: Duration = Duration::from_secs(10);

/// What a gateway has of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// 0 for nothing.
    pub number: i64,
    /// May be empty.
    pub digest: String,
}

impl Held {
    /// Whether a material is nothing new. Without a digest, the number alone says what it is.
    fn covers(&self, material: &Material) -> bool {
        self.number > material.number
            || self.number == material.number && (self.digest.is_empty() || self.digest == *material.digest)
    }
}

/// What a gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The first message: the topics that it wants, with what it has of them.
    Subscribe(Vec<(Topic, Held)>),
    /// It has applied an update.
    Applied { topic: Topic, number: i64 },
    /// It has refused an update.
    Refused { topic: Topic, number: i64, code: String, detail: String },
}

/// What a gateway gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Update { topic: Topic, material: Arc<Material> },
    Bookmark,
    Drain { reconnect_after: Duration },
}

/// A topic of a stream.
struct Followed {
    topic: Topic,
    subscription: Subscription,
    /// What the gateway has, or was sent.
    held: Held,
    /// The last update that was sent, and when it could have been sent first.
    sent: Option<(i64, Instant)>,
}

/// Whose stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    pub scope: TenantScope,
    pub gateway: Uuid,
}

/// The stream of a gateway.
pub struct GatewayStream<R> {
    follower: Follower,
    known: Reports,
    trust: Trust,
    drain: Drain,
    reports: R,
    /// No more reports will come.
    is_silent: bool,
    followed: Vec<Followed>,
    bell: Arc<Notify>,
    opened_at: Instant,
    bookmark: Bookmark,
    _open: measures::Open,
    _place: Option<Place>,
    /// The gateway knows that there is nothing newer than what it was sent first.
    is_current: bool,
    is_draining: bool,
}

impl<R> GatewayStream<R>
where
    R: Stream<Item = Result<Report>> + Send + Unpin + 'static,
{
    /// The messages for a gateway whose reports are these. The stream ends with the first error, and with that of `lost`. Fails if the
    /// gateway has too many streams.
    pub fn messages(
        cx: &Cx,
        (board, known): (&Board, &Reports),
        follower: Follower,
        reports: R,
        lost: impl Future<Output = Error> + Send + 'static,
    ) -> Result<impl Stream<Item = Result<Message>> + Send + 'static> {
        let place = board.places().take(&cx.caller)?;
        let lost = or_replaced(lost, place.as_ref());
        let (board, known, drain) = (board.clone(), known.clone(), cx.drain.clone());
        // Boxed, so that an open stream does not keep the memory.
        let opening = Box::pin(async move { Self::open(&board, known, follower, drain, (reports, place)).await });
        let messages = stream::once(opening).flat_map(|opened| match opened {
            Ok(stream) => stream.into_messages().left_stream(),
            Err(error) => stream::once(std::future::ready(Err(error))).right_stream(),
        });
        Ok(abort_when(messages, lost))
    }

    async fn open(
        board: &Board,
        known: Reports,
        follower: Follower,
        drain: Drain,
        (mut reports, place): (R, Option<Place>),
    ) -> Result<Self> {
        let late = || invalid("the first message must be subscribe, within 10 seconds");
        let first = timeout(FIRST, reports.next()).await.map_err(|_| late())?.ok_or_else(late)??;
        let Report::Subscribe(wanted) = first else { return Err(late()) };
        let bell = Arc::new(Notify::new());
        let mut followed: Vec<Followed> = Vec::new();
        for (topic, held) in wanted {
            if followed.iter().any(|known| known.topic == topic) {
                return Err(invalid("a material is named twice"));
            }
            followed.push(Followed {
                topic,
                subscription: board.follow(follower.scope, topic, &bell),
                held,
                sent: None,
            });
        }
        // Anchors are first: they have the keys of the others.
        followed.sort_by_key(|followed| followed.topic);
        let (is_silent, is_current, is_draining, bookmark) = (false, false, false, Bookmark::new());
        let (trust, opened_at, open) = (board.trust().clone(), Instant::now(), measures::Open::new());
        Ok(Self {
            _open: open,
            _place: place,
            opened_at,
            follower,
            known,
            trust,
            drain,
            reports,
            is_silent,
            followed,
            bell,
            bookmark,
            is_current,
            is_draining,
        })
    }

    fn into_messages(self) -> impl Stream<Item = Result<Message>> + Send + 'static {
        stream::unfold(Some(self), |stream| async move {
            let mut stream = stream?;
            match stream.next().await {
                Ok(message) => Some((Ok(message), Some(stream))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Message> {
        if self.is_draining {
            return Err(Drain::error());
        }
        loop {
            // At its begin all bells ring: [`Board::ring_at`].
            if self.drain.has_begun() {
                self.is_draining = true;
                return Ok(Message::Drain { reconnect_after: reconnect_after() });
            }
            if let Some(message) = self.newer().await? {
                self.bookmark.postpone();
                return Ok(message);
            }
            if !self.is_current && self.followed.iter().all(|of| of.subscription.state() != State::Unknown) {
                self.is_current = true;
                return Ok(Message::Bookmark);
            }
            tokio::select! {
                () = self.bell.notified() => {}
                report = self.reports.next(), if !self.is_silent => match report {
                    Some(report) => self.note(report?)?,
                    None => self.is_silent = true,
                },
                () = self.bookmark.due() => return Ok(Message::Bookmark),
            }
        }
    }

    /// The first topic whose state is newer than what the gateway has.
    async fn newer(&mut self) -> Result<Option<Message>> {
        for at in 0..self.followed.len() {
            let followed = &self.followed[at];
            let State::Known(material) = followed.subscription.state() else { continue };
            if followed.held.covers(&material) {
                continue;
            }
            let topic = followed.topic;
            let held = followed.held.number;
            let material = if is_walked(topic, held, &material) {
                // Boxed: few streams read, and all would keep the memory.
                Box::pin(step(&self.trust, self.follower.scope, held, material)).await?
            } else {
                material
            };
            let held = Held { number: material.number, digest: material.digest.to_string() };
            let since = material.known_at.max(self.opened_at);
            let followed = &mut self.followed[at];
            (followed.held, followed.sent) = (held, Some((material.number, since)));
            measures::sent(topic);
            return Ok(Some(Message::Update { topic, material }));
        }
        Ok(None)
    }

    /// When an update that was sent last could have been sent first.
    fn sent(&mut self, topic: Topic, number: i64) -> Option<Instant> {
        let followed = self.followed.iter_mut().find(|followed| followed.topic == topic)?;
        followed.sent.take_if(|(sent, _)| *sent == number).map(|(_, since)| since)
    }

    fn note(&mut self, report: Report) -> Result<()> {
        let Follower { scope, gateway } = self.follower;
        match report {
            Report::Subscribe(_) => return Err(invalid("subscribe must be the first message only")),
            Report::Applied { topic, number } => {
                if let Some(kind) = topic.kind() {
                    self.known.applied(scope, gateway, kind, number);
                }
                if let Some(since) = self.sent(topic, number) {
                    measures::applied(topic, since.elapsed());
                }
            }
            Report::Refused { topic, number, code, detail } => {
                if let Some(kind) = topic.kind() {
                    self.known.refused(scope, gateway, kind, number, (code, detail));
                }
                measures::refused(topic);
            }
        }
        Ok(())
    }
}

/// Whether there are states between the one that the gateway has and the newest one that it needs as well. A gateway verifies each set of
/// anchors with the one before, so none is skipped.
fn is_walked(topic: Topic, held: i64, newest: &Material) -> bool {
    topic == Topic::TrustAnchors && held > 0 && held + 1 < newest.number
}

/// The set of anchors after the one that the gateway has.
async fn step(trust: &Trust, scope: TenantScope, held: i64, newest: Arc<Material>) -> Result<Arc<Material>> {
    match trust.anchor_set(scope, held + 1).await?.map(State::from) {
        Some(State::Known(next)) => Ok(next),
        // Older than the first set that exists: it cannot walk, and will refuse the newest one.
        _ => Ok(newest),
    }
}

fn invalid(text: &'static str) -> Error {
    Error::invalid(Reason::InvalidArgument, "message", text)
}

#[cfg(test)]
mod tests {
    use futures::stream::Pending;

    use super::*;

    fn size_of_result<T, S>(_: impl FnOnce(T) -> S) -> usize {
        size_of::<S>()
    }

    #[test]
    fn an_idle_stream_needs_little_memory() {
        let size = size_of_result(GatewayStream::<Pending<Result<Report>>>::into_messages);
        assert!(size <= 2048, "{size} bytes for each open stream");
    }
}
