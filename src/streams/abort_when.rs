//! A stream that another event can terminate.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;

/// The items of a stream until `event` returns an error, which is then the last item.
pub fn abort_when<S, F>(stream: S, event: F) -> AbortWhen<S, F> {
    AbortWhen { stream: Box::pin(stream), event: Some(Box::pin(event)) }
}

/// The stream of [`abort_when`].
pub struct AbortWhen<S, F> {
    stream: Pin<Box<S>>,
    /// `None` after the end.
    event: Option<Pin<Box<F>>>,
}

impl<S, F, T, E> Stream for AbortWhen<S, F>
where
    S: Stream<Item = Result<T, E>>,
    F: Future<Output = E>,
{
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(event) = &mut self.event else { return Poll::Ready(None) };
        if let Poll::Ready(error) = event.as_mut().poll(cx) {
            self.event = None;
            return Poll::Ready(Some(Err(error)));
        }
        let item = self.stream.as_mut().poll_next(cx);
        if matches!(item, Poll::Ready(None)) {
            self.event = None;
        }
        item
    }
}

impl<S, F> std::fmt::Debug for AbortWhen<S, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AbortWhen").field("ended", &self.event.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_event_ends_the_stream_with_its_error() {
        let (sender, event) = oneshot::channel::<&str>();
        let items = stream::iter([Ok(1)]).chain(stream::pending());
        let mut items = abort_when(items, async { event.await.unwrap() });
        assert_eq!(items.next().await, Some(Ok(1)));
        assert!(futures::poll!(items.next()).is_pending());
        sender.send("revoked").unwrap();
        assert_eq!((items.next().await, items.next().await), (Some(Err("revoked")), None));
    }

    #[tokio::test]
    async fn a_stream_can_end_before_the_event() {
        let items = abort_when(stream::iter([Ok::<_, ()>(1)]), std::future::pending());
        assert_eq!(items.collect::<Vec<_>>().await, [Ok(1)]);
    }
}
