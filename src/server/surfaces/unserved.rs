//! A gRPC service that is known and not served: each method answers that, to whoever the guard admits.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomData,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

/// In place of the service `S`.
pub(super) struct Unserved<S> {
    /// Why it is not served.
    why: &'static str,
    of: PhantomData<fn() -> S>,
}

impl<S> Unserved<S> {
    /// In place of a service that is not served for that reason.
    pub fn new(why: &'static str) -> Self {
        Self { why, of: PhantomData }
    }
}

// Not derived: that would ask it of the service.
impl<S> Clone for Unserved<S> {
    fn clone(&self) -> Self {
        Self::new(self.why)
    }
}

impl<S: NamedService> NamedService for Unserved<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Unserved<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Status::unimplemented(self.why).into_http()))
    }
}
