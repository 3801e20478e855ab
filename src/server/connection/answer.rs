//! The body of a response in transmission: tracks whether the server or the peer must act next, and contains panics.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Call, streams};
use crate::base::panics;

/// The largest part that is passed to hyper at once, in bytes: a peer that reads one such part makes progress.
const PART: usize = 32 * 1024;

/// The body of a response; the call is in progress until it is dropped.
pub(in crate::server) struct Answer {
    body: Body,
    /// The rest of a part that was too large.
    rest: Bytes,
    call: Call,
}

impl Answer {
    /// The body of a call's response.
    pub(in crate::server) fn new(body: Body, call: Call) -> Self {
        Self { body, rest: Bytes::new(), call }
    }

    fn hand_over(&mut self, mut part: Bytes) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let most = match part.len() {
            // h2 accepts a whole part as soon as its peer has a window of one byte, and after the last part the stream
            // could no longer be reset. A separate last byte must wait until the peer had room for everything before
            // it.
            length @ 2..=PART if self.call.is_http2() => length - 1,
            _ => PART,
        };
        if part.len() > most {
            self.rest = part.split_off(most);
        }
        self.call.wait_for_peer();
        streams::handed_over();
        Poll::Ready(Some(Ok(Frame::data(part))))
    }
}

/// The producer of the response panicked.
#[derive(Debug, thiserror::Error)]
#[error("the response could not be completed")]
struct Panicked;

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.call.work();
        streams::asked_for_more();
        if !self.rest.is_empty() {
            let part = std::mem::take(&mut self.rest);
            return self.hand_over(part);
        }
        // A body that panicked is not polled again.
        let polled =
            catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(cx))).unwrap_or_else(|panic| {
                panics::count(panic.as_ref());
                self.body = Body::empty();
                Poll::Ready(Some(Err(axum::Error::new(Panicked))))
            });
        match polled {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(part) => self.hand_over(part),
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
