//! The body of an HTTP/1.1 request that may not be read completely.
//!
//! A call may get its response before its body was read, if it was refused by its head or aborted. The connection can
//! be reused only after the rest of that body. A small rest is read and discarded. For a longer one the response
//! announces that the connection closes, and it is closed in stages (RFC 9112, sections 9.3 and 9.6).

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

/// The largest rest of a body that is read to keep the connection, in bytes.
const MOST: u64 = 256 * 1024;
/// How long that may take.
const TIME: Duration = Duration::from_secs(5);

/// Handles a body that its call did not finish reading.
pub(in crate::server) struct Rest {
    place: Mutex<Place>,
    /// The client sends the body only after `100 Continue`.
    expects: bool,
    /// The `100 Continue` was sent.
    asked: AtomicBool,
    /// Its maximum length, if the request says it.
    length: Option<u64>,
    connection: Arc<Connection>,
}

enum Place {
    /// The call has it.
    Held,
    /// The call has dropped it.
    Left(Incoming),
    /// It was read completely.
    Over,
    /// The response was sent; dropping the body decides by itself.
    Answered,
}

/// Splits a request into the part for a call, and the part that is settled with its response. HTTP/2 has streams for
/// that.
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
    /// The call has its response. Announces in it that the connection closes, if necessary.
    pub(in crate::server) fn settle<B>(&self, response: &mut Response<B>) {
        let place = std::mem::replace(&mut *self.place(), Place::Answered);
        let late = response.status() == StatusCode::REQUEST_TIMEOUT;
        let closes = match place {
            Place::Left(body) if !late && self.is_small(length(&body)) => {
                self.read(body);
                false
            }
            Place::Left(_) => true,
            // A bidirectional call may drop its body when a close can no longer be announced.
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

    /// Reads the rest, for a limited time. If that is not enough, the connection closes.
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
        // Each change is one assignment, so a poisoned lock is consistent.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of the call.
struct Kept {
    /// `None` after it was read completely.
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
        // Before the body is polled, so that data before the end is not missed.
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
