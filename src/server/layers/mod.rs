//! The layers around every call, and their order.
//!
//! They are one service, not a stack of tower layers: the order is visible in one place, and a call needs only one
//! boxed future. Each layer is a small file in this module.

pub(super) mod answer;
mod client;
mod cors;
mod framing;
mod host;
mod limits;
mod line_budget;
mod load;
mod observe;
mod panics;
mod receive;
pub mod request_id;
mod timeout;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tower::Service;
use transcoder::Dialects;

use self::{
    answer::{Failure, Head},
    cors::Cors,
    receive::TimedBody,
};
pub use self::{
    client::{NoHeaders, NoNetworks, ProxyHeaders, TrustedProxies},
    receive::BodyTimeouts,
    timeout::Until,
};
use crate::{
    auth::{Authentication, Authenticator, CallFacts, Origins},
    base::{Error, seat::Seated},
};

/// Limits of a call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum size of a REST body, in bytes.
    pub max_body: usize,
    /// Maximum number of concurrent calls.
    pub max_in_flight: usize,
    /// The longest time until a call responds. A caller may ask for less.
    pub timeout: Duration,
}

/// The allowed origins of calls.
#[derive(Clone, Debug, Default)]
pub struct Ingress {
    /// The proxies whose information about clients is trusted.
    pub proxies: TrustedProxies,
    /// The foreign origins whose pages may send calls.
    pub origins: Origins,
}

/// The layers around an inner service, which must always be ready, as they are. Cheap to clone.
#[derive(Clone)]
pub struct Stack<S> {
    inner: S,
    shared: Arc<Shared>,
}

struct Shared {
    authenticator: Arc<Authenticator>,
    dialects: Dialects,
    load: load::Load,
    limits: Limits,
    timeouts: BodyTimeouts,
    proxies: TrustedProxies,
    cors: Option<Cors>,
    calls: Arc<observe::Calls>,
}

impl<S> Stack<S> {
    pub fn new(
        inner: S,
        authenticator: Arc<Authenticator>,
        dialects: Dialects,
        limits: Limits,
        timeouts: BodyTimeouts,
        ingress: Ingress,
    ) -> Self {
        let load = load::Load::new(limits.max_in_flight);
        let (proxies, cors) = (ingress.proxies, Cors::of(&ingress.origins));
        let calls = Arc::default();
        let shared = Shared { authenticator, dialects, load, limits, timeouts, proxies, cors, calls };
        Self { inner, shared: Arc::new(shared) }
    }
}

impl<S> Service<Request<Body>> for Stack<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, shared) = (self.inner.clone(), self.shared.clone());
        let spare = panics::Spare::of(&request);
        Box::pin(async move {
            // The layers outside of `panics::catch`, including the log, are guarded separately.
            let refuse = |head: &Head, failure| shared.fail(head, failure);
            Ok(spare.run(shared.outer(inner, request), refuse).await)
        })
    }
}

impl Shared {
    /// The order, from the outside in. Layers outside of authentication also see refused calls.
    async fn outer<S>(&self, inner: S, mut request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        // First, so that everything below, and every response, has it.
        let id = request_id::assign(&mut request);
        // Before the log, which shows it, and authentication, which uses it.
        client::identify(&mut request, &self.proxies);
        let facts = CallFacts::default();
        request.extensions_mut().insert(facts.clone());
        let head = Head::of(&request, id);
        // Access log and metrics: outside of everything that may refuse or fail, so that refusals are counted.
        let observation = observe::begin(&request, &head, facts, self.calls.clone());
        // Around all responses, so that a page can read why it was refused; before all work, because a preflight needs
        // none.
        let mut response = match host::check(&request).and_then(|()| framing::check(&request)) {
            Ok(()) => cors::run(self.cors.as_ref(), request, |request| self.answer(inner, &head, request)).await,
            // It may be intended for another server.
            Err(failure) => self.fail(&head, failure),
        };
        answer::harden(&mut response, &head);
        request_id::echo(&mut response, &head.request_id);
        observation.end(response)
    }

    /// The response of a call, successful or not.
    async fn answer<S>(&self, inner: S, head: &Head, mut request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let calls = async {
            // A call that cannot be accepted costs as little as possible.
            let permit = self.load.admit(head)?;
            // Before the body is read.
            limits::check_body(&request, head, self.limits.max_body)?;
            // Around everything that may wait, including the lookup of the credential's tenant.
            timeout::run(&mut request, self.limits.timeout, |request| self.inner(inner, head, permit, request)).await
        };
        // Inside of the log and the metrics, so that a panic is logged and counted like any other response.
        match panics::catch(calls).await {
            Ok(response) => response,
            Err(failure) => self.fail(head, failure),
        }
    }

    /// Authentication is the innermost layer: it identifies the caller, and the guard at the service decides.
    async fn inner<S>(
        &self,
        mut inner: S,
        head: &Head,
        permit: Option<OwnedSemaphorePermit>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failure>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let (parts, body) = request.into_parts();
        let authentication = self.authenticator.authenticate(&parts).await;
        let mut request = Request::from_parts(parts, body);
        let known = matches!(authentication, Authentication::Caller(..));
        if let (Authentication::Caller(caller, _), Some(facts)) =
            (&authentication, request.extensions().get::<CallFacts>())
        {
            facts.set_caller(caller);
        }
        request.extensions_mut().insert(authentication);
        let place = self.load.place(head, &request, permit, known)?;
        request.extensions_mut().insert(Seated(place.clone()));
        let watched = place.clone();
        let request = if place.is_arriving() {
            request.map(|body| Body::new(TimedBody::new(body, watched, self.timeouts)))
        } else {
            request
        };
        match inner.call(request).await {
            // If the body was incomplete, the service's response is discarded.
            Ok(response) => place.end().map(|()| response),
            Err(never) => match never {},
        }
    }

    fn fail(&self, head: &Head, failure: Failure) -> Response<Body> {
        if let Failure::Call(Error { cause: Some(cause), .. }) = &failure {
            tracing::error!(request_id = head.request_id.0, cause = cause.as_ref(), "a call failed");
        }
        answer::answer(&self.dialects, head, failure)
    }
}

#[cfg(test)]
mod ingress_tests;
#[cfg(test)]
mod tests;
