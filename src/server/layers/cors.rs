//! Which pages of other origins may send calls and read the responses (CORS,
//! <https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! The rules are those of tower-http, at one place of our service: a preflight is answered before the call is counted,
//! limited or authenticated, and every response, error or not, has the headers for its page.

use std::{convert::Infallible, future::ready, time::Duration};

use axum::body::Body;
use http::{
    HeaderName, HeaderValue, Method, Request, Response,
    header::{
        ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, ORIGIN, RETRY_AFTER,
        VARY,
    },
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::request_id;
use crate::{
    auth::{Origins, authn::csrf},
    base::error::OPERATION_ID,
};

/// How long a browser may cache the result of a preflight.
const MAX_AGE: Duration = Duration::from_secs(600);
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The rules of a server that allows pages of other origins.
pub(super) struct Cors {
    origins: Origins,
    layer: CorsLayer,
}

/// Runs a call with the rules, if there are any.
pub(super) async fn run<F>(
    cors: Option<&Cors>,
    request: Request<Body>,
    call: impl FnOnce(Request<Body>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let Some(cors) = cors else { return call(request).await };
    let asked = head(&request);
    if cors.is_preflight(&asked) {
        return cors.apply(asked, Response::default()).await;
    }
    let response = call(request).await;
    cors.answer(asked, response).await
}

/// A copy of the head of a request for the rules, because the call consumes the request.
fn head(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    head.method_mut().clone_from(request.method());
    for name in [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD] {
        if let Some(value) = request.headers().get(&name) {
            head.headers_mut().insert(name, value.clone());
        }
    }
    head
}

impl Cors {
    /// The rules for these origins; `None` if no other origins are allowed.
    pub(super) fn of(origins: &Origins) -> Option<Self> {
        if !origins.any() && origins.listed().is_empty() {
            return None;
        }
        let layer = CorsLayer::new()
            .allow_methods(METHODS)
            .allow_headers(request_headers())
            .expose_headers(response_headers())
            .max_age(MAX_AGE)
            .vary([ORIGIN]);
        // Cookies are allowed only from explicitly listed origins.
        let layer = if origins.any() {
            layer.allow_origin(Any)
        } else {
            layer.allow_origin(AllowOrigin::list(origins.listed().iter().cloned())).allow_credentials(true)
        };
        Some(Self { origins: origins.clone(), layer })
    }

    /// Adds the headers to a response. A page of an origin that is not allowed gets none.
    async fn answer(&self, mut asked: Request<()>, mut response: Response<Body>) -> Response<Body> {
        if self.allows(&asked) {
            // The layer treats every OPTIONS as a preflight.
            *asked.method_mut() = Method::GET;
            return self.apply(asked, response).await;
        }
        response.headers_mut().append(VARY, HeaderValue::from(ORIGIN));
        response
    }

    /// Whether a request is a preflight.
    fn is_preflight(&self, asked: &Request<()>) -> bool {
        let asks = asked.method() == Method::OPTIONS && asked.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        asks && self.allows(asked)
    }

    fn allows(&self, asked: &Request<()>) -> bool {
        let origin = asked.headers().get(ORIGIN);
        origin.is_some_and(|origin| self.origins.any() || self.origins.lists(origin))
    }

    async fn apply(&self, asked: Request<()>, mut response: Response<Body>) -> Response<Body> {
        let given = service_fn(|_| ready(Ok::<_, Infallible>(std::mem::take(&mut response))));
        match self.layer.layer(given).oneshot(asked).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Headers that pages may send.
fn request_headers() -> Vec<HeaderName> {
    let ours = [
        "x-api-key",
        "idempotency-key",
        "x-spc",
        "last-event-id",
        "x-server-timeout",
        "x-grpc-web",
        "x-user-agent",
        "grpc-timeout",
        "grpc-accept-encoding",
    ];
    let ours = ours.map(HeaderName::from_static);
    [AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, csrf::HEADER, request_id::HEADER]
        .into_iter()
        .chain(ours)
        .collect()
}

/// Headers that pages may read.
fn response_headers() -> Vec<HeaderName> {
    let ours = [
        "idempotent-replayed",
        OPERATION_ID,
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "grpc-encoding",
    ];
    [request_id::HEADER, RETRY_AFTER, ETAG].into_iter().chain(ours.map(HeaderName::from_static)).collect()
}
