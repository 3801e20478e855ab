//! The drain: the time between the signal to stop and the end of the server.
//!
//! Calls in progress may finish in it. Watches and other streams without an end of their own would prolong it
//! indefinitely, so each of them asks [`Drain`] when to end.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::error::{Error, Kind, Reason};

/// Signals the start of the drain. It is in [`Cx`](super::Cx) and in the extensions of every request. Cheap to clone;
/// clones share the signal. The default never starts unless [`begin`](Self::begin) is called.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    begins: CancellationToken,
    /// Read at each event of a stream, so without the token's lock.
    has_begun: Arc<AtomicBool>,
}

impl Drain {
    /// Starts the drain, which lasts until the process ends.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
        self.begins.cancel();
    }

    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Waits until it starts; returns immediately if it has. Cancel safe.
    pub async fn draining(&self) {
        self.begins.cancelled().await;
    }

    /// The status of a stream that is terminated by the drain: UNAVAILABLE with the reason `SERVER_STOPPING`.
    pub fn status() -> Status {
        Self::error().to_status()
    }

    /// The error of a stream that is terminated by the drain.
    pub fn error() -> Error {
        let text = "the server is shutting down; reconnect";
        Error::new(Kind::Unavailable, Reason::ServerStopping, text)
    }

    /// A stream that ends with [`Drain::status`] when the drain starts. Messages that were not taken by then are lost;
    /// a stream with a final message waits for [`Drain::draining`] itself.
    pub fn end<S>(&self, stream: S) -> Ended<S> {
        Ended { stream: Box::pin(stream), draining: Some(Box::pin(self.begins.clone().cancelled_owned())), over: false }
    }
}

/// A stream that ends with the drain: [`Drain::end`].
pub struct Ended<S> {
    stream: Pin<Box<S>>,
    draining: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    over: bool,
}

impl<S> std::fmt::Debug for Ended<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ended").field("over", &self.over).finish_non_exhaustive()
    }
}

impl<T, S: Stream<Item = Result<T, Status>>> Stream for Ended<S> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let draining = self.draining.as_mut().is_some_and(|draining| draining.as_mut().poll(cx).is_ready());
        if draining {
            (self.over, self.draining) = (true, None);
            return Poll::Ready(Some(Err(Drain::status())));
        }
        let item = self.stream.as_mut().poll_next(cx);
        self.over = matches!(item, Poll::Ready(None));
        item
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn an_endless_stream_ends_with_the_drain() {
        let drain = Drain::default();
        let mut items = drain.end(stream::iter([Ok(1)]).chain(stream::pending()));
        assert_eq!(items.next().await.unwrap().unwrap(), 1);
        assert!(futures::poll!(items.next()).is_pending() && !drain.has_begun());
        drain.clone().begin();
        drain.draining().await;
        let last = items.next().await.unwrap().unwrap_err();
        assert_eq!(last.code(), Kind::Unavailable);
        assert!(items.next().await.is_none() && drain.has_begun());
    }

    #[tokio::test]
    async fn a_stream_that_ends_before_the_drain_is_unchanged() {
        let drain = Drain::default();
        let items: Vec<_> = drain.end(stream::iter([Ok(1), Ok(2)])).map(Result::unwrap).collect().await;
        assert_eq!(items, [1, 2]);
    }
}
