//! The body of a request in transmission: it must arrive in time, and reports when it is complete.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::load::Place;

/// How long a body may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeouts {
    pub total: Duration,
    /// Until its next part.
    pub part: Duration,
}

impl Default for BodyTimeouts {
    fn default() -> Self {
        Self { total: Duration::from_secs(10), part: Duration::from_secs(5) }
    }
}

/// Why the body of a call ended before it was whole. The layers give the answer; the service sees this.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("the body did not arrive in time")]
    Stalled,
    #[error("there is too much to do")]
    Refused,
}

/// The body of a call in transmission.
pub(super) struct TimedBody {
    body: Body,
    place: Arc<Place>,
    timeouts: BodyTimeouts,
    /// The total deadline.
    end: Instant,
    /// Runs while the next part is awaited.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    /// Watches a body. `place` is the slot of its call.
    pub(super) fn new(body: Body, place: Arc<Place>, timeouts: BodyTimeouts) -> Self {
        Self { body, place, timeouts, end: Instant::now() + timeouts.total, waiting: None }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // A bidirectional call has the head of its response before its body ends, and may take longer.
        if !self.place.is_arriving() {
            return Poll::Pending;
        }
        let (end, part) = (self.end, self.timeouts.part);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep_until(end.min(Instant::now() + part))));
        if waiting.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.place.stall();
        Poll::Ready(Some(Err(axum::Error::new(Cut::Stalled))))
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Poll::Ready(part) = polled else { return self.wait(cx) };
        self.waiting = None;
        let ended = part.is_none() || self.body.is_end_stream();
        if ended && !self.place.work() {
            return Poll::Ready(Some(Err(axum::Error::new(Cut::Refused))));
        }
        if !ended && Instant::now() >= self.end && self.place.is_arriving() {
            self.place.stall();
            return Poll::Ready(Some(Err(axum::Error::new(Cut::Stalled))));
        }
        Poll::Ready(part)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        self.place.work_anyway();
    }
}
