//! The body of a stream: each message as a line, an event or a list item, or as raw bytes.
//!
//! The head of the response is already sent when an item fails, so the failure is the last message of the body, in the
//! dialect of the surface. Raw bytes have no place for it; there the response is aborted.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tonic::Code;

use super::{accept::Framing, body::IncompleteBody};
use crate::{
    Dialects, RequestId,
    failure::{Failure, Origin},
};

/// An encoded message of a stream.
#[derive(Debug)]
pub(super) struct Item {
    /// JSON, or raw bytes.
    pub bytes: Bytes,
    /// Event id.
    pub id: Option<String>,
    /// Event type.
    pub kind: Option<String>,
}

pub(super) type Items = Pin<Box<dyn Stream<Item = Result<Item, Box<Failure>>> + Send>>;

/// Encodes a failure in the middle of a stream.
pub(super) struct ErrorEncoder {
    pub dialects: Dialects,
    pub dialect: &'static str,
    pub request_id: Option<RequestId>,
}

/// The body of a stream.
pub(super) struct Frames {
    items: Items,
    first: Option<Item>,
    /// `None` for raw bytes.
    framing: Option<Framing>,
    errors: ErrorEncoder,
    heartbeat: Heartbeat,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Messages sent so far.
    sent: u64,
    ended: bool,
}

/// The maximum number of empty messages that are taken without yielding: raw messages may be empty.
const MANY: usize = 1024;

/// The number of bytes to collect while items are ready.
const ENOUGH: usize = 16 * 1024;

impl Frames {
    pub(super) fn new(
        items: Items,
        first: Option<Item>,
        framing: Option<Framing>,
        errors: ErrorEncoder,
        heartbeat: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        // Only event streams have comments, which every client ignores.
        let every = Some(heartbeat).filter(|every| framing == Some(Framing::Events) && !every.is_zero());
        let heartbeat = Heartbeat { every, waiting: None };
        let deadline = deadline.map(|at| Box::pin(sleep_until(at)));
        Self { items, first, framing, errors, heartbeat, deadline, sent: 0, ended: false }
    }

    /// Writes a message with its framing.
    fn item(&mut self, out: &mut BytesMut, item: &Item) {
        match self.framing {
            None => out.put_slice(&item.bytes),
            Some(Framing::Lines) => {
                out.put_slice(&item.bytes);
                out.put_u8(b'\n');
            }
            Some(Framing::List) => {
                out.put_slice(if self.sent == 0 { b"[" } else { b"," });
                out.put_slice(&item.bytes);
            }
            Some(Framing::Events) => event(out, item),
        }
        self.sent += 1;
    }

    /// The end of a successful stream.
    fn end(&mut self, out: &mut BytesMut) {
        self.ended = true;
        match self.framing {
            Some(Framing::List) => out.put_slice(if self.sent == 0 { b"[]" } else { b"]" }),
            // A client cannot distinguish this end from a lost connection, and would reconnect without it.
            Some(Framing::Events) => out.put_slice(b"event: end\ndata: {}\n\n"),
            Some(Framing::Lines) | None => {}
        }
    }

    /// The end of a failed stream.
    fn fail(&mut self, out: &mut BytesMut, failure: Failure) -> Result<(), IncompleteBody> {
        if self.framing.is_none() {
            self.ended = true;
            return Err(IncompleteBody);
        }
        let request_id = self.errors.request_id.as_ref().map(|id| id.0.clone());
        let dialect = self.errors.dialects.named(self.errors.dialect);
        let body = one_line(dialect.render(&Failure { request_id, ..failure }).body);
        let item = Item { bytes: body, id: None, kind: Some("error".to_owned()) };
        self.item(out, &item);
        if self.framing == Some(Framing::List) {
            out.put_u8(b']');
        }
        self.ended = true;
        Ok(())
    }

    /// Collects what is ready. A failure of raw bytes aborts the response.
    fn gather(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Result<(), IncompleteBody> {
        if let Some(first) = self.first.take() {
            self.item(out, &first);
        }
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return self.fail(out, late());
        }
        let mut taken = 0;
        while !self.ended && out.len() < ENOUGH {
            taken += 1;
            if taken > MANY && out.is_empty() {
                // Yields to other tasks, including the deadline.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            match self.items.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(item))) => self.item(out, &item),
                // What is ready is sent before the response is aborted.
                Poll::Ready(Some(Err(failure))) => return self.fail(out, *failure),
                Poll::Ready(None) => self.end(out),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = IncompleteBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncompleteBody>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut out = BytesMut::new();
        let gathered = self.gather(cx, &mut out);
        if out.is_empty() {
            return match gathered {
                Err(broken) => Poll::Ready(Some(Err(broken))),
                Ok(()) if self.ended => Poll::Ready(None),
                Ok(()) => self.heartbeat.poll(cx).map(|()| Some(Ok(Frame::data(Bytes::from_static(b":\n\n"))))),
            };
        }
        if gathered.is_err() {
            // The next poll aborts.
            self.ended = false;
            self.items = Box::pin(Cut);
        }
        self.heartbeat.waiting = None;
        Poll::Ready(Some(Ok(Frame::data(out.freeze()))))
    }
}

/// The stream of a response that will be aborted.
struct Cut;

impl Stream for Cut {
    type Item = Result<Item, Box<Failure>>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Err(Box::new(late()))))
    }
}

/// Shows the client and the proxies in between that a silent stream is alive.
struct Heartbeat {
    every: Option<Duration>,
    /// Restarted by every output.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Heartbeat {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(every) = self.every else { return Poll::Pending };
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(every)));
        let beat = waiting.as_mut().poll(cx);
        if beat.is_ready() {
            self.waiting = None;
        }
        beat
    }
}

/// Writes an event (the HTML standard, section 9.2.5).
fn event(out: &mut BytesMut, item: &Item) {
    // A line break would end the field, and clients ignore an id with NUL.
    let fits = |text: &&String| !text.is_empty() && !text.contains(['\r', '\n', '\0']);
    for (name, text) in [("id: ", &item.id), ("event: ", &item.kind)] {
        if let Some(text) = text.as_ref().filter(fits) {
            out.put_slice(name.as_bytes());
            out.put_slice(text.as_bytes());
            out.put_u8(b'\n');
        }
    }
    out.put_slice(b"data: ");
    out.put_slice(&item.bytes);
    out.put_slice(b"\n\n");
}

/// An error body on one line: multi-line and non-JSON bodies are converted to JSON.
fn one_line(body: Vec<u8>) -> Bytes {
    if !body.contains(&b'\n')
        && !body.contains(&b'\r')
        && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok()
    {
        return body.into();
    }
    let value = serde_json::from_slice(&body);
    value.unwrap_or_else(|_| serde_json::Value::from(String::from_utf8_lossy(&body))).to_string().into()
}

/// The deadline of the call has passed.
pub(super) fn late() -> Failure {
    Failure::new(Origin::Server, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the call took too long")
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Waker};

    use super::*;

    /// A silent stream that notices when it is dropped.
    struct Silent(#[allow(dead_code, reason = "its end is what counts")] Arc<()>);

    impl Stream for Silent {
        type Item = Result<Item, Box<Failure>>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }

    /// An endless stream of empty pieces.
    struct Empty;

    impl Stream for Empty {
        type Item = Result<Item, Box<Failure>>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(Some(Ok(Item { bytes: Bytes::new(), id: None, kind: None })))
        }
    }

    #[test]
    fn a_disconnected_client_ends_the_stream_of_the_service() {
        let alive = Arc::new(());
        let errors = ErrorEncoder { dialects: Dialects::default(), dialect: "", request_id: None };
        let items = Box::pin(Silent(alive.clone()));
        let frames = Frames::new(items, None, Some(Framing::Lines), errors, Duration::ZERO, None);
        let body = super::super::ResponseBody::pieces(frames);
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(body);
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn an_error_body_is_one_line_of_json() {
        let line = |body: &str| String::from_utf8(one_line(body.into()).to_vec()).unwrap();
        assert_eq!(line("{\"a\":1}"), "{\"a\":1}");
        assert_eq!(line("{\n  \"a\": 1\n}"), "{\"a\":1}");
        assert_eq!(line("no\r\nJSON"), "\"no\\r\\nJSON\"");
    }

    #[test]
    fn ids_that_would_break_an_event_are_omitted() {
        let written = |id: &str, kind: &str| {
            let mut out = BytesMut::new();
            let item = Item { bytes: Bytes::from("1"), id: Some(id.to_owned()), kind: Some(kind.to_owned()) };
            event(&mut out, &item);
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(written("7", "a"), "id: 7\nevent: a\ndata: 1\n\n");
        assert_eq!(written("7\ndata: 2", "a\r"), "data: 1\n\n");
        assert_eq!(written("", "\0"), "data: 1\n\n");
    }

    #[test]
    fn endless_empty_pieces_yield_to_other_tasks() {
        let errors = ErrorEncoder { dialects: Dialects::default(), dialect: "", request_id: None };
        let mut frames = Frames::new(Box::pin(Empty), None, None, errors, Duration::ZERO, None);
        assert!(Pin::new(&mut frames).poll_frame(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
