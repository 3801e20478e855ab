//! Which pages of other origins may call and read the answers (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! The rules are tower-http's. Here they stand at one place of our one service: a preflight is answered before the call
//! is counted, limited or authenticated, and every answer of ours, error or not, carries what its page may read.

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
use crate::auth::{Origins, authn::csrf};

/// How long a browser may keep what a preflight told it.
const MAX_AGE: Duration = Duration::from_secs(600);
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The rules of a server that pages of other origins may call.
pub(super) struct Cors {
    origins: Origins,
    layer: CorsLayer,
}

/// Runs a call under the rules, if there are any.
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

/// What the rules have to know of a request, which the call uses up.
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
    /// The rules for these origins; `None` if pages of other origins may not call at all.
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
        // Cookies come along only from origins that somebody vouches for.
        let layer = if origins.any() {
            layer.allow_origin(Any)
        } else {
            layer.allow_origin(AllowOrigin::list(origins.listed().iter().cloned())).allow_credentials(true)
        };
        Some(Self { origins: origins.clone(), layer })
    }

    /// The answer with what its page may do with it. A page of an origin that may not call gets nothing.
    async fn answer(&self, mut asked: Request<()>, mut response: Response<Body>) -> Response<Body> {
        if self.allows(&asked) {
            // The layer takes every OPTIONS for a preflight.
            *asked.method_mut() = Method::GET;
            return self.apply(asked, response).await;
        }
        response.headers_mut().append(VARY, HeaderValue::from(ORIGIN));
        response
    }

    /// Whether a request only asks what the page may do.
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

/// What pages may send.
fn request_headers() -> Vec<HeaderName> {
    let ours = [
        "x-api-key",
        "idempotency-key",
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

/// What pages may read.
fn response_headers() -> Vec<HeaderName> {
    let ours = ["idempotent-replayed", "grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding"];
    [request_id::HEADER, RETRY_AFTER, ETAG].into_iter().chain(ours.map(HeaderName::from_static)).collect()
}
