//! The body of a request over HTTP/1.1, of which nobody may want all.
//!
//! A call may be answered before its body was read: refused by its head, or cut. The connection can go on only after the
//! rest of that body. A small rest is read and thrown away, a longer one is not: then the answer says that the connection
//! closes, and it is closed in stages (RFC 9112, sections 9.3 and 9.6).

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
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
    connection: Arc<Connection>,
}

enum Place {
    /// The call has it.
    Held,
    /// The call has left it.
    Left(Left),
    /// It was read to its end.
    Over,
    /// The answer is on its way; whoever leaves the body decides alone.
    Answered,
}

struct Left {
    body: Incoming,
    /// Somebody has read of it.
    asked: bool,
}

/// Takes a request for a call, and what is to be settled when the call is answered. HTTP/2 has streams for that.
pub(in crate::server) fn take(
    request: Request<Incoming>,
    connection: &Arc<Connection>,
) -> (Request<Body>, Option<Arc<Rest>>) {
    if request.version() > Version::HTTP_11 || http_body::Body::is_end_stream(request.body()) {
        return (request.map(Body::new), None);
    }
    let expects = expects(request.headers());
    let rest = Arc::new(Rest { place: Mutex::new(Place::Held), expects, connection: connection.clone() });
    let kept = rest.clone();
    let request = request.map(|body| Body::new(Kept { left: Some(Left { body, asked: false }), rest: kept }));
    (request, Some(rest))
}

fn expects(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

impl Rest {
    /// The call is answered. Says in the answer that the connection closes, if it does.
    pub(in crate::server) fn settle<B>(&self, response: &mut Response<B>) {
        let place = std::mem::replace(&mut *self.place(), Place::Answered);
        let late = response.status() == StatusCode::REQUEST_TIMEOUT;
        match place {
            Place::Left(left) if !late && self.is_small(&left) => self.read(left),
            Place::Left(_) => say(response),
            // A call that streams both ways.
            Place::Held => {}
            Place::Over | Place::Answered if late => say(response),
            Place::Over | Place::Answered => {}
        }
    }

    fn is_small(&self, left: &Left) -> bool {
        let upper = http_body::Body::size_hint(&left.body).upper();
        (left.asked || !self.expects) && upper.is_some_and(|upper| upper <= MOST)
    }

    /// Reads what is left, for a while. If that is not enough, the connection closes.
    fn read(&self, left: Left) {
        let (mut body, connection) = (left.body, self.connection.clone());
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

fn say<B>(response: &mut Response<B>) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// The body, as the call has it.
struct Kept {
    /// None when it was read to its end.
    left: Option<Left>,
    rest: Arc<Rest>,
}

impl Kept {
    fn over(&mut self) {
        self.left = None;
        *self.rest.place() = Place::Over;
        self.rest.connection.clean.store(true, Ordering::Relaxed);
    }
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(left) = &mut self.left else { return Poll::Ready(None) };
        left.asked = true;
        let polled = Pin::new(&mut left.body).poll_frame(cx);
        let whole = http_body::Body::is_end_stream(&left.body);
        let connection = &self.rest.connection;
        if polled.is_pending() {
            // Whoever reads the connection may know that nothing more comes.
            if !connection.awaiting.swap(true, Ordering::Relaxed) {
                connection.reader.wake();
            }
            return Poll::Pending;
        }
        connection.awaiting.store(false, Ordering::Relaxed);
        if whole || matches!(polled, Poll::Ready(None)) {
            self.over();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.left.as_ref().is_none_or(|left| http_body::Body::is_end_stream(&left.body))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.as_ref().map_or(SizeHint::with_exact(0), |left| http_body::Body::size_hint(&left.body))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(left) = self.left.take() else { return };
        let mut place = self.rest.place();
        if matches!(*place, Place::Answered) {
            drop(place);
            if self.rest.is_small(&left) {
                self.rest.read(left);
            }
            return;
        }
        *place = Place::Left(left);
    }
}
