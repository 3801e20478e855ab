//! Handlers: services whose methods take a context and a message, and return a message or their own error type.
//!
//! If `Builder::handlers` names the context and the error, `transcoder-build` generates a handler trait for each
//! service, and the adapter to tonic, which calls this module.

use std::{
    fmt,
    pin::Pin,
    task::{Poll, ready},
};

use futures_core::Stream;
use http::Extensions;
use tonic::{Response, Status, metadata::MetadataMap};

use crate::{MethodInfo, once::Once, pages};

/// The context of a call; every handler takes it.
pub trait Context: Sized + Send + Sync + Unpin + 'static {
    /// The error of a handler.
    type Error: Send + 'static;

    /// Creates the context of a call from the extensions of its request, in which layers and guard store their results.
    fn of(extensions: &Extensions, metadata: &MetadataMap) -> Result<Self, Status>;

    /// The status for the error of a handler. The error is dropped afterwards, so log it here.
    fn status(&self, error: Self::Error) -> Status;

    /// Makes a call idempotent, if its caller requested that; with `None` the call runs normally. Called after the guard, for methods
    /// with [`takes_key`](MethodInfo::takes_key).
    fn once(&self, _: &'static MethodInfo, _: &Extensions, _: &MetadataMap) -> Option<Box<dyn Once<Self>>> {
        None
    }
}

/// For handlers without a context of their own: the extensions themselves.
impl Context for Extensions {
    type Error = Status;

    fn of(extensions: &Extensions, _: &MetadataMap) -> Result<Self, Status> {
        Ok(extensions.clone())
    }

    fn status(&self, error: Status) -> Status {
        error
    }
}

/// A list that may be longer than one message (option `paged_list`): its first page, and a stream of the others, each
/// read when it can be sent.
pub struct Pages<M, E> {
    first: M,
    further: Option<BoxStream<M, E>>,
}

type BoxStream<M, E> = Pin<Box<dyn Stream<Item = Result<M, E>> + Send>>;

impl<M, E> Pages<M, E> {
    /// A list of one page.
    pub fn one(page: M) -> Self {
        Self { first: page, further: None }
    }

    /// A list of several pages.
    pub fn new(first: M, further: impl Stream<Item = Result<M, E>> + Send + 'static) -> Self {
        Self { first, further: Some(Box::pin(further)) }
    }
}

impl<M: fmt::Debug, E> fmt::Debug for Pages<M, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("first", &self.first).field("more", &self.further.is_some()).finish()
    }
}

/// The messages of a handler's stream, with its errors as statuses.
pub type Statuses<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Responds with a message.
#[doc(hidden)]
pub fn message<C: Context, M>(cx: C, outcome: Result<M, C::Error>) -> Result<Response<M>, Status> {
    outcome.map(Response::new).map_err(|error| cx.status(error))
}

/// Responds with a message and metadata.
#[doc(hidden)]
pub fn response<C: Context, M>(cx: C, outcome: Result<Response<M>, C::Error>) -> Result<Response<M>, Status> {
    outcome.map_err(|error| cx.status(error))
}

/// Responds with a list.
#[doc(hidden)]
pub fn pages<C: Context, M: Send + 'static>(
    cx: C,
    outcome: Result<Pages<M, C::Error>, C::Error>,
) -> Result<Response<M>, Status> {
    match outcome {
        Ok(Pages { first, further: None }) => Ok(Response::new(first)),
        Ok(Pages { first, further: Some(further) }) => {
            Ok(pages::followed(Response::new(first), Answers { cx, inner: further }))
        }
        Err(error) => Err(cx.status(error)),
    }
}

/// Responds with a stream.
#[doc(hidden)]
pub fn stream<C: Context, M: Send + 'static>(
    cx: C,
    outcome: Result<impl Stream<Item = Result<M, C::Error>> + Send + 'static, C::Error>,
) -> Result<Response<Statuses<M>>, Status> {
    match outcome {
        Ok(inner) => Ok(Response::new(Box::pin(Answers { cx, inner: Box::pin(inner) as BoxStream<M, C::Error> }))),
        Err(error) => Err(cx.status(error)),
    }
}

/// The stream of a handler, with its errors as statuses.
struct Answers<C: Context, M> {
    cx: C,
    inner: BoxStream<M, C::Error>,
}

impl<C: Context, M> Stream for Answers<C, M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.inner.as_mut().poll_next(context));
        Poll::Ready(item.map(|item| item.map_err(|error| self.cx.status(error))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
