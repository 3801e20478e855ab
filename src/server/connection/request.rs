//! The body of a request over HTTP/1.1, of which nobody may want all.
//!
//! A call may be answered before its body was read: refused by its head, or cut. The connection can go on only after the
//! rest of that body. A small rest is read and thrown away, a longer one is not: then the answer says that the connection
//! closes, and it is closed in stages (RFC 9112, sections 9.3 and 9.6).

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, EXPECT},
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Connection;

/// Longest rest of a body that is read for the sake of the connection, in bytes.
const MOST: u64 = 256 * 1024;
/// How long that may take.
const TIME: Duration = Duration::from_secs(5);

/// What becomes of a body that its call leaves.
pub(in crate::server) struct Rest {
    place: Mutex<Place>,
    /// The body comes only if it is asked for.
    expects: bool,
    /// It was.
    asked: AtomicBool,
    /// How long it is at most, where it says so.
    length: Option<u64>,
    connection: Arc<Connection>,
}

enum Place {
    /// The call has it.
    Held,
    /// The call has left it.
    Left(Incoming),
    /// It was read to its end.
    Over,
    /// The answer is on its way; whoever leaves the body decides alone.
    Answered,
}

/// Takes a request for a call, and what is to be settled when the call is answered. HTTP/2 has streams for that.
pub(in crate::server) fn take(
    request: Request<Incoming>,
    connection: &Arc<Connection>,
) -> (Request<Body>, Option<Arc<Rest>>) {
    if request.version() > Version::HTTP_11 || http_body::Body::is_end_stream(request.body()) {
        return (request.map(Body::new), None);
    }
    let rest = Arc::new(Rest {
        place: Mutex::new(Place::Held),
        expects: expects(request.headers()),
        asked: AtomicBool::new(false),
        length: length(request.body()),
        connection: connection.clone(),
    });
    let kept = rest.clone();
    let request = request.map(|body| Body::new(Kept { body: Some(body), rest: kept }));
    (request, Some(rest))
}

fn expects(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn length(body: &Incoming) -> Option<u64> {
    http_body::Body::size_hint(body).upper()
}

impl Rest {
    /// The call is answered. Says in the answer that the connection closes, if it does.
    pub(in crate::server) fn settle<B>(&self, response: &mut Response<B>) {
        let place = std::mem::replace(&mut *self.place(), Place::Answered);
        let late = response.status() == StatusCode::REQUEST_TIMEOUT;
        let closes = match place {
            Place::Left(body) if !late && self.is_small(length(&body)) => {
                self.read(body);
                false
            }
            Place::Left(_) => true,
            // A call that streams both ways may leave a rest when nothing can be said any more.
            Place::Held => late || !self.is_small(self.length),
            Place::Over | Place::Answered => late,
        };
        if closes {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Whether a rest of this length is read.
    fn is_small(&self, length: Option<u64>) -> bool {
        (!self.expects || self.asked.load(Ordering::Relaxed)) && length.is_some_and(|length| length <= MOST)
    }

    /// Reads what is left, for a while. If that is not enough, the connection closes.
    fn read(&self, mut body: Incoming) {
        let connection = self.connection.clone();
        let reading = async move {
            while let Some(frame) = body.frame().await {
                if frame.is_err() {
                    return;
                }
            }
            connection.clean.store(true, Ordering::Relaxed);
        };
        // Outside of a runtime the connection is gone.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(TIME, reading));
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // Each change is one assignment.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body, as the call has it.
struct Kept {
    /// None when it was read to its end.
    body: Option<Incoming>,
    rest: Arc<Rest>,
}

impl Kept {
    fn over(&mut self) {
        self.body = None;
        *self.rest.place() = Place::Over;
        self.rest.connection.clean.store(true, Ordering::Relaxed);
    }
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        this.rest.asked.store(true, Ordering::Relaxed);
        // Before the body is asked, so that what came before the end is not missed.
        let ended = this.rest.connection.has_peer_ended(cx.waker());
        let polled = Pin::new(&mut *body).poll_frame(cx);
        let whole = http_body::Body::is_end_stream(body);
        match polled {
            Poll::Pending if ended => this.rest.connection.starve(),
            Poll::Pending => {}
            Poll::Ready(None) => this.over(),
            Poll::Ready(_) if whole => this.over(),
            Poll::Ready(_) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        let mut place = self.rest.place();
        if matches!(*place, Place::Answered) {
            drop(place);
            if self.rest.is_small(length(&body)) {
                self.rest.read(body);
            }
            return;
        }
        *place = Place::Left(body);
    }
}
