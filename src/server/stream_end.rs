//! Ends gRPC streams at the caller's deadline. (In the drain they end themselves: `Drain`.)
//!
//! Wraps the gRPC services, inside of gRPC-Web, so that the end is trailers for both.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use transcoder::grpc::Answer;

use super::layers::Until;
use crate::base::{Error, Kind, error::Reason};

/// Ends streams at their deadlines.
#[derive(Clone, Debug)]
pub(super) struct StreamEndLayer;

impl<S> Layer<S> for StreamEndLayer {
    type Service = StreamEnd<S>;

    fn layer(&self, inner: S) -> StreamEnd<S> {
        StreamEnd { inner }
    }
}

#[derive(Clone, Debug)]
pub(super) struct StreamEnd<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for StreamEnd<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future = Answer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        let until = request.extensions().get::<Until>().copied();
        let answer = self.inner.call(request);
        let Some(until) = until else { return answer };
        Box::pin(async move {
            let response = answer.await?;
            // A response with its status in the head has no body.
            if response.headers().contains_key("grpc-status") {
                return Ok(response);
            }
            Ok(response.map(|body| Body::new(Bounded::new(body, until))))
        })
    }
}

/// The body of a response, with a deadline.
struct Bounded {
    body: Option<Body>,
    deadline: Pin<Box<Sleep>>,
}

impl Bounded {
    fn new(body: Body, until: Until) -> Self {
        Self { body: Some(body), deadline: Box::pin(sleep_until(until.0.into())) }
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        let over = matches!(&polled, Poll::Ready(None))
            || matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_trailers());
        if over || self.deadline.as_mut().poll(cx).is_pending() {
            return polled;
        }
        self.body = None;
        let status = Error::new(Kind::DeadlineExceeded, Reason::DeadlineExceeded, "the call took too long").to_status();
        let trailers = status.into_http::<()>().into_parts().0.headers;
        Poll::Ready(Some(Ok(Frame::trailers(only_status(trailers)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The headers of a failed response that belong into its trailers.
fn only_status(mut headers: http::HeaderMap) -> http::HeaderMap {
    headers.remove(http::header::CONTENT_TYPE);
    headers
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http_body_util::BodyExt as _;

    use super::*;

    /// A body that sends one message and then never ends.
    fn one_word() -> Body {
        let word = futures::stream::iter([Ok::<_, Status>(Frame::data(Bytes::from("word")))]);
        Body::new(http_body_util::StreamBody::new(futures::StreamExt::chain(word, futures::stream::pending())))
    }

    async fn end(mut body: Bounded) -> String {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "word");
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert!(body.frame().await.is_none() && trailers.get("content-type").is_none());
        trailers["grpc-status"].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_deadline() {
        let soon = Until(Instant::now() + Duration::from_millis(20));
        assert_eq!(end(Bounded::new(one_word(), soon)).await, "4");
    }
}
