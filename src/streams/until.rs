//! A stream that ends when something else happens.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;

/// The same stream, which ends with the error that `end` returns, when it does. What is not taken by then is dropped.
pub fn until<S, F>(stream: S, end: F) -> Until<S, F> {
    Until { stream: Box::pin(stream), end: Some(Box::pin(end)) }
}

/// The stream of [`until`].
pub struct Until<S, F> {
    stream: Pin<Box<S>>,
    /// `None` after the end.
    end: Option<Pin<Box<F>>>,
}

impl<S, F, T, E> Stream for Until<S, F>
where
    S: Stream<Item = Result<T, E>>,
    F: Future<Output = E>,
{
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        if let Poll::Ready(error) = end.as_mut().poll(cx) {
            self.end = None;
            return Poll::Ready(Some(Err(error)));
        }
        let item = self.stream.as_mut().poll_next(cx);
        if matches!(item, Poll::Ready(None)) {
            self.end = None;
        }
        item
    }
}

impl<S, F> std::fmt::Debug for Until<S, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Until").field("over", &self.end.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_stream_ends_when_its_end_comes() {
        let (end, ended) = oneshot::channel::<&str>();
        let items = stream::iter([Ok(1)]).chain(stream::pending());
        let mut items = until(items, async { ended.await.unwrap() });
        assert_eq!(items.next().await, Some(Ok(1)));
        assert!(futures::poll!(items.next()).is_pending());
        end.send("over").unwrap();
        assert_eq!((items.next().await, items.next().await), (Some(Err("over")), None));
    }

    #[tokio::test]
    async fn a_stream_that_is_over_needs_no_end() {
        let items = until(stream::iter([Ok::<_, ()>(1)]), std::future::pending());
        assert_eq!(items.collect::<Vec<_>>().await, [Ok(1)]);
    }
}
