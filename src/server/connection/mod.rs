//! One connection: what it is doing, what is in flight on it, and its end.
//!
//! hyper speaks HTTP. What it leaves to its user is here: writes to a peer that does not read ([`stream`], [`streams`]), a
//! request that is answered before it is over ([`request`]), a peer that has ended its side and still wants its answer
//! ([`stream`]), and a drain that waits for calls and not for peers ([`drive`]).

mod answer;
mod drive;
mod request;
mod stream;
mod streams;
mod wire;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;

pub(super) use self::{
    answer::Answer,
    drive::{Crowd, End, Graceful, drive},
    request::take,
    stream::{Guarded, PeerTimeouts},
    streams::Streams,
    wire::{State as WireState, Wire},
};

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    begun: Instant,
    http2: AtomicBool,
    /// Calls whose answer is not over.
    calls: AtomicUsize,
    /// Those of them that are worked on: all but those whose peer does not take what there is for it.
    working: AtomicUsize,
    /// What was written is not taken.
    blocked: AtomicBool,
    /// When a call last began or ended, or the peer last took something of an answer; in milliseconds from the begin.
    last: AtomicU64,
    /// A call that begins after that is not waited for.
    ends: OnceLock<Instant>,
    /// It ends because the server does.
    drains: AtomicBool,
    /// At the end: the peer has not taken all answers of the calls that are over.
    owing: AtomicBool,
    /// The peer has ended its side.
    ended: AtomicBool,
    /// A call has asked for more of its body since then, and there was nothing.
    starved: AtomicBool,
    /// Nothing has come since the last request that was read to its end.
    clean: AtomicBool,
    /// Whoever reads the connection, and waits for one of these to change.
    reader: AtomicWaker,
    /// Whoever waits for more of a body.
    body: AtomicWaker,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// No call is in flight. Whatever comes and goes meanwhile, halves of heads and pings, is none.
    Nothing,
    /// A call is worked on, or still comes.
    Working,
    /// It is for the peer to take the answers that there are.
    Answering,
}

impl Connection {
    /// A new one.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            http2: AtomicBool::default(),
            calls: AtomicUsize::default(),
            working: AtomicUsize::default(),
            blocked: AtomicBool::default(),
            last: AtomicU64::default(),
            ends: OnceLock::new(),
            drains: AtomicBool::default(),
            owing: AtomicBool::default(),
            ended: AtomicBool::default(),
            starved: AtomicBool::default(),
            clean: AtomicBool::default(),
            reader: AtomicWaker::new(),
            body: AtomicWaker::new(),
        })
    }

    /// A call begins. `whole` tells that its request has no body.
    pub(super) fn begin(self: &Arc<Self>, http2: bool, whole: bool) -> Call {
        self.http2.store(http2, Ordering::Relaxed);
        self.starved.store(false, Ordering::Relaxed);
        self.clean.store(whole, Ordering::Relaxed);
        let counts = self.ends.get().is_none_or(|end| Instant::now() <= *end);
        let mut call = Call { connection: self.clone(), counts, working: false };
        if counts {
            self.calls.fetch_add(1, Ordering::Relaxed);
            call.work();
        }
        call
    }

    fn doing(&self) -> Doing {
        if self.working.load(Ordering::Relaxed) > 0 {
            Doing::Working
        } else if self.calls.load(Ordering::Relaxed) > 0 || self.blocked.load(Ordering::Relaxed) {
            Doing::Answering
        } else {
            Doing::Nothing
        }
    }

    /// Something happened that counts.
    fn mark(&self) {
        // A connection is not open for so long that its age does not fit.
        self.last.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// When something last happened that counts.
    fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Calls that begin later are not waited for: their peer was told that the connection ends.
    fn ends_after(&self, time: Duration) {
        let _ = self.ends.set(Instant::now() + time);
    }

    /// Whether it ends.
    fn is_ending(&self) -> bool {
        self.ends.get().is_some()
    }

    /// Whether the kernel still held answers for the peer when that was last looked at, which is only done at the end.
    fn is_owed(&self) -> bool {
        self.owing.load(Ordering::Relaxed)
    }

    /// The peer has ended its side. A call that waits for more of its body asks again, and then knows.
    fn peer_ended(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.body.wake();
    }

    /// Whether the peer has ended its side. Wakes whoever asks when it does.
    fn has_peer_ended(&self, waker: &Waker) -> bool {
        self.body.register(waker);
        self.ended.load(Ordering::SeqCst)
    }

    /// A call asked for more of its body after the peer ended its side, and there was nothing.
    fn starve(&self) {
        if !self.starved.swap(true, Ordering::SeqCst) {
            self.reader.wake();
        }
    }

    /// Whether the end of the peer's side does not matter yet: a half-closed connection does not imply that the peer no
    /// longer waits for its answer (RFC 9112, section 9.6). It matters to a call that waits for more of its request. On
    /// HTTP/2 it ends the connection.
    fn outlives_its_peers_side(&self, cx: &Context<'_>) -> bool {
        self.reader.register(cx.waker());
        let answering = self.calls.load(Ordering::SeqCst) > 0 && !self.starved.load(Ordering::SeqCst);
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
    /// Whether it is waited for at the end of its connection.
    counts: bool,
    working: bool,
}

impl Call {
    /// The call is worked on: what there was for its peer is taken.
    fn work(&mut self) {
        if self.counts && !std::mem::replace(&mut self.working, true) {
            self.connection.working.fetch_add(1, Ordering::Relaxed);
            self.connection.mark();
        }
    }

    /// It is for the peer to take what there is.
    fn wait_for_peer(&mut self) {
        if std::mem::replace(&mut self.working, false) {
            self.connection.mark();
            self.connection.working.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether it came over HTTP/2.
    fn is_http2(&self) -> bool {
        self.connection.http2.load(Ordering::Relaxed)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.wait_for_peer();
        if self.counts {
            self.connection.mark();
            self.connection.calls.fetch_sub(1, Ordering::SeqCst);
        }
        self.connection.reader.wake();
    }
}
