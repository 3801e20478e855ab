//! A stream that another event can terminate.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use tokio_util::task::AbortOnDropHandle;

use crate::base::{Error, Result};

/// The items of a stream until `event` returns an error, which is then the last item. The event runs in a task of its own,
/// because the stream is polled only while its peer accepts data.
pub fn abort_when<S>(stream: S, event: impl Future<Output = Error> + Send + 'static) -> AbortWhen<S> {
    AbortWhen { stream: Box::pin(stream), event: Some(AbortOnDropHandle::new(tokio::spawn(event))) }
}

/// The stream of [`abort_when`].
pub struct AbortWhen<S> {
    stream: Pin<Box<S>>,
    /// `None` after the end.
    event: Option<AbortOnDropHandle<Error>>,
}

impl<S: Stream<Item = Result<T>>, T> Stream for AbortWhen<S> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(event) = &mut self.event else { return Poll::Ready(None) };
        if let Poll::Ready(error) = Pin::new(event).poll(cx) {
            self.event = None;
            let error = error.unwrap_or_else(|cause| Error::internal("an event of a stream failed").caused_by(cause));
            return Poll::Ready(Some(Err(error)));
        }
        let item = self.stream.as_mut().poll_next(cx);
        if matches!(item, Poll::Ready(None)) {
            self.event = None;
        }
        item
    }
}

impl<S> std::fmt::Debug for AbortWhen<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AbortWhen").field("ended", &self.event.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use tokio::sync::oneshot;

    use super::*;
    use crate::base::{Kind, error::Reason};

    fn revoked() -> Error {
        Error::new(Kind::Unauthenticated, Reason::CredentialsRevoked, "revoked")
    }

    #[tokio::test]
    async fn the_event_ends_the_stream_with_its_error() {
        let (sender, event) = oneshot::channel::<Error>();
        let items = stream::iter([Ok(1)]).chain(stream::pending());
        let mut items = abort_when(items, async { event.await.unwrap() });
        assert!(items.next().await.is_some_and(|item| item.is_ok_and(|item| item == 1)));
        assert!(futures::poll!(items.next()).is_pending());
        sender.send(revoked()).unwrap();
        let last = items.next().await.unwrap().unwrap_err();
        assert_eq!(last.reason, Reason::CredentialsRevoked);
        assert!(items.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_can_end_before_the_event() {
        let items = abort_when(stream::iter([Ok(1)]), std::future::pending());
        assert_eq!(items.collect::<Vec<_>>().await.len(), 1);
    }

    #[tokio::test]
    async fn the_event_does_not_wait_for_the_stream_to_be_polled() {
        let (sender, started) = oneshot::channel::<()>();
        let event = async move {
            sender.send(()).unwrap();
            std::future::pending().await
        };
        let _items = abort_when(stream::pending::<Result<()>>(), event);
        started.await.unwrap();
    }
}
