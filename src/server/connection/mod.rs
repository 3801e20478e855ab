//! One connection: what it is waiting for, what is in flight on it, and its end.
//!
//! hyper speaks HTTP. What it leaves to its user is here: writes to a peer that does not read ([`stream`], [`streams`]), a
//! request that is answered before it is over ([`request`]), a peer that has ended its side and still wants its answer
//! ([`stream`]), and a drain that waits for calls and not for peers ([`drive`]).

mod answer;
mod request;
mod stream;
mod streams;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::base::Drain;

pub(super) use self::{
    answer::Answer,
    request::take,
    stream::{Guarded, Patience},
    streams::Streams,
};

/// How long a connection stays that has no call in flight and moves no byte, in the drain or where others need its place.
const LINGER: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The calls of a server that are worked on: all of them but those whose peer does not take what there is for it.
pub(super) type Working = Arc<AtomicUsize>;

/// What is known of a connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    http2: AtomicBool,
    /// Calls whose answer is not over.
    calls: AtomicUsize,
    /// Those of them that are worked on.
    working: AtomicUsize,
    /// The same, of all connections.
    all: Working,
    /// A call has asked for more of its body than there is.
    awaiting: AtomicBool,
    /// Nothing has come since the last request that was read to its end.
    clean: AtomicBool,
    /// Bytes that the peer took, and how often some came from it.
    moved: AtomicU64,
    /// Whoever reads, and waits for one of these to change.
    reader: AtomicWaker,
}

impl Connection {
    /// A new one, which counts its calls among those of the server.
    pub(super) fn new(all: Working) -> Arc<Self> {
        Arc::new(Self { all, ..Self::default() })
    }

    /// A call begins. `whole` tells that its request has no body.
    pub(super) fn begin(self: &Arc<Self>, http2: bool, whole: bool) -> Call {
        self.http2.store(http2, Ordering::Relaxed);
        self.awaiting.store(false, Ordering::Relaxed);
        self.clean.store(whole, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut call = Call { connection: self.clone(), working: false };
        call.work();
        call
    }

    /// Whether the end of the peer's side does not matter yet: a half-closed connection does not imply that the peer no
    /// longer waits for its answer (RFC 9112, section 9.6). It matters to a call that waits for more of its request. On
    /// HTTP/2 it ends the connection.
    fn outlives_its_peers_side(&self) -> bool {
        let answering = self.calls.load(Ordering::Relaxed) > 0 && !self.awaiting.load(Ordering::Relaxed);
        answering && !self.http2.load(Ordering::Relaxed)
    }

    /// Whether the peer may still be sending what nobody has read.
    fn may_have_more(&self) -> bool {
        self.http2.load(Ordering::Relaxed) || !self.clean.load(Ordering::Relaxed)
    }
}

/// A call in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct Call {
    connection: Arc<Connection>,
    working: bool,
}

impl Call {
    /// The call is worked on.
    fn work(&mut self) {
        if !std::mem::replace(&mut self.working, true) {
            self.connection.working.fetch_add(1, Ordering::Relaxed);
            self.connection.all.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It is for the peer to take what there is.
    fn wait_for_peer(&mut self) {
        if std::mem::replace(&mut self.working, false) {
            self.connection.working.fetch_sub(1, Ordering::Relaxed);
            self.connection.all.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.wait_for_peer();
        self.connection.calls.fetch_sub(1, Ordering::Relaxed);
        self.connection.reader.wake();
    }
}

/// What can be asked to end when its calls have.
pub(super) trait Graceful: Future {
    /// Takes no more calls.
    fn end(self: std::pin::Pin<&mut Self>);
}

/// Serves a connection to its end. From the drain on it takes no more calls, and ends when none is in flight, whatever its
/// peer does: one that does not answer, does not read or has sent half a head is no work. Such a connection ends too when
/// others wait for its place.
pub(super) async fn drive<C>(serving: C, connection: &Connection, drain: &Drain, crowd: Crowd) -> Option<C::Output>
where
    C: Graceful,
{
    let mut serving = pin!(serving);
    let rest = tokio::select! {
        served = &mut serving => return Some(served),
        () = drain.draining() => LINGER,
        () = in_the_way(connection, crowd) => LOOK,
    };
    serving.as_mut().end();
    tokio::select! {
        served = &mut serving => Some(served),
        () = idle(connection, rest) => None,
    }
}

/// How many new connections wait for a place.
pub(super) type Crowd = watch::Receiver<usize>;

/// Waits until others wait for the place of an idle connection.
async fn in_the_way(connection: &Connection, mut crowd: Crowd) {
    loop {
        if crowd.wait_for(|waiting| *waiting > 0).await.is_err() {
            // Nobody takes connections any more.
            return std::future::pending().await;
        }
        // Not all at once: those who wait may need few places.
        idle(connection, LINGER.mul_f64(rand::random_range(1.0..2.0))).await;
        if *crowd.borrow() > 0 {
            return;
        }
    }
}

/// Waits until a connection has been without a call that is worked on, and without a byte that moved, for so long.
async fn idle(connection: &Connection, time: Duration) {
    let moved = || connection.moved.load(Ordering::Relaxed);
    let (mut since, mut before) = (Instant::now(), moved());
    while since.elapsed() < time {
        sleep(LOOK).await;
        if moved() != before || connection.working.load(Ordering::Relaxed) > 0 {
            (since, before) = (Instant::now(), moved());
        }
    }
}
