//! One connection: its state, its calls, and its end.
//!
//! hyper implements HTTP. This module adds what it leaves to its users: writes to a peer that does not read
//! ([`stream`], [`streams`]), a response before the end of the request ([`request`]), a peer that has closed its side
//! and still waits for its response ([`stream`]), and a drain that waits for calls but not for peers ([`drive`]).

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

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    begun: Instant,
    http2: AtomicBool,
    /// Calls whose response is not complete.
    calls: AtomicUsize,
    /// Those of them that the server works on: all except those whose peer does not read the available data.
    working: AtomicUsize,
    /// The peer does not read what was written.
    blocked: AtomicBool,
    /// When a call last started or ended, or the peer last read some of a response; in milliseconds since the start.
    last: AtomicU64,
    /// Calls that start after this are not waited for.
    ends: OnceLock<Instant>,
    /// It ends because of the drain.
    drains: AtomicBool,
    /// At the end: the peer has not read all responses of finished calls.
    owing: AtomicBool,
    /// The peer has closed its side.
    ended: AtomicBool,
    /// A call has asked for more of its body since then, and there was nothing.
    starved: AtomicBool,
    /// Nothing has arrived since the last request that was read completely.
    clean: AtomicBool,
    /// The reader of the connection, which waits for a change of this state.
    reader: AtomicWaker,
    /// The reader of a body, which waits for more.
    body: AtomicWaker,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// No call is in progress. Partial heads and pings do not count.
    Nothing,
    /// A call is running, or still arriving.
    Working,
    /// The peer must read the available responses.
    Answering,
}

impl Connection {
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

    /// Starts a call. `whole`: its request has no body.
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

    /// Records activity.
    fn mark(&self) {
        // The age of a connection in milliseconds fits.
        self.last.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// The time of the last activity.
    fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Calls that start later are not waited for: their peer was notified that the connection ends.
    fn ends_after(&self, time: Duration) {
        let _ = self.ends.set(Instant::now() + time);
    }

    fn is_ending(&self) -> bool {
        self.ends.get().is_some()
    }

    /// Whether the kernel still had responses for the peer at the last check, which happens only at the end.
    fn is_owed(&self) -> bool {
        self.owing.load(Ordering::Relaxed)
    }

    /// The peer has closed its side. Wakes a call that waits for more of its body, so that it notices.
    fn peer_ended(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.body.wake();
    }

    /// Whether the peer has closed its side. Wakes the caller when it does.
    fn has_peer_ended(&self, waker: &Waker) -> bool {
        self.body.register(waker);
        self.ended.load(Ordering::SeqCst)
    }

    /// A call asked for more of its body after the peer had closed its side, and there was nothing.
    fn starve(&self) {
        if !self.starved.swap(true, Ordering::SeqCst) {
            self.reader.wake();
        }
    }

    /// Whether the end of the peer's side can be ignored for now: the peer of a half-closed connection may still wait
    /// for its response (RFC 9112, section 9.6). It matters to a call that waits for more of its request. On HTTP/2 it
    /// ends the connection.
    fn outlives_its_peers_side(&self, cx: &Context<'_>) -> bool {
        self.reader.register(cx.waker());
        let answering = self.calls.load(Ordering::SeqCst) > 0 && !self.starved.load(Ordering::SeqCst);
        answering && !self.http2.load(Ordering::Relaxed)
    }

    /// Whether the peer may still be sending data that was not read.
    fn may_have_more(&self) -> bool {
        self.http2.load(Ordering::Relaxed) || !self.clean.load(Ordering::Relaxed)
    }
}

/// A call in progress, until it is dropped.
#[derive(Debug)]
pub(super) struct Call {
    connection: Arc<Connection>,
    /// Whether the end of its connection waits for it.
    counts: bool,
    working: bool,
}

impl Call {
    /// The server must act: the peer has read what was available.
    fn work(&mut self) {
        if self.counts && !std::mem::replace(&mut self.working, true) {
            self.connection.working.fetch_add(1, Ordering::Relaxed);
            self.connection.mark();
        }
    }

    /// The peer must act: it has to read what is available.
    fn wait_for_peer(&mut self) {
        if std::mem::replace(&mut self.working, false) {
            self.connection.mark();
            self.connection.working.fetch_sub(1, Ordering::Relaxed);
        }
    }

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
