//! The fallback service of a server: every REST path.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full, Limited};
use tonic::Code;

use super::{
    route::{Route, Success},
    rule::{Body, Call, Rule},
};
use crate::{
    Dialect, Dialects, Guard, MethodInfo, TrailingSlash,
    failure::{Failure, Origin, RequestId},
    router::{Found, Path, Router},
};

/// The body of an answer.
pub type ResponseBody = Full<Bytes>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Which rule a request matched; in the extensions of the request that the guard and the service see.
#[derive(Clone, Copy, Debug)]
pub struct Matched {
    /// The RPC.
    pub method: &'static MethodInfo,
    /// The path template.
    pub template: &'static str,
}

/// How a REST call ended; in the extensions of its response.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The gRPC code.
    pub code: Code,
    /// The rule that it matched, if any.
    pub matched: Option<Matched>,
}

/// Collects routes and what holds for all of them.
#[derive(Debug)]
pub struct RestBuilder {
    routes: Vec<Route>,
    dialects: Dialects,
    max_body: usize,
}

impl RestBuilder {
    /// No routes yet, and these dialects.
    pub fn new(dialects: Dialects) -> Self {
        Self { routes: Vec::new(), dialects, max_body: 1 << 20 }
    }

    /// Adds the routes of a service.
    pub fn routes(mut self, routes: impl IntoIterator<Item = Route>) -> Self {
        self.routes.extend(routes);
        self
    }

    /// The largest body in bytes; 1 MiB unless told.
    pub fn max_body(self, bytes: usize) -> Self {
        Self { max_body: bytes, ..self }
    }

    /// The service, with the guard that every call passes.
    pub fn build(self, guard: Arc<dyn Guard>) -> Rest {
        let mut router = Router::default();
        for route in &self.routes {
            router.add(route.rule.method, &route.rule.template);
        }
        let Self { routes, dialects, max_body } = self;
        Rest(Arc::new(Inner { router, routes, dialects, max_body, guard }))
    }
}

/// Serves the REST paths of all routes. A tower service for any request body.
#[derive(Clone)]
pub struct Rest(Arc<Inner>);

struct Inner {
    router: Router,
    routes: Vec<Route>,
    dialects: Dialects,
    max_body: usize,
    guard: Arc<dyn Guard>,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.0.routes).finish()
    }
}

impl<B> tower::Service<Request<B>> for Rest
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { Ok(inner.handle(request).await) })
    }
}

/// Where a request goes.
enum Target<'i> {
    Route(&'i Route),
    /// To the same path without its slash.
    Redirect(String),
    /// An answer to OPTIONS.
    Options(String),
}

impl Failure {
    /// The failure of a call of a rule, which knows where its fields are given.
    fn under(mut self, rule: &Rule) -> Self {
        for violation in &mut self.violations {
            violation.place.get_or_insert_with(|| rule.place_of(&violation.field));
        }
        self
    }
}

impl Rule {
    fn matched(&self) -> Matched {
        Matched { method: self.info, template: self.template.text }
    }
}

impl Inner {
    async fn handle<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let head = parts.method == Method::HEAD;
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let response = match self.target(&parts) {
            Ok(Target::Route(route)) => {
                let outcome = self.call(route, parts, body).await;
                let dialect = self.dialects.named(route.rule.info.surface.error_dialect);
                match outcome {
                    Ok(success) => answer(route.rule, success),
                    Err(failure) => refuse(dialect, Failure { request_id, ..*failure }, Some(route.rule.matched())),
                }
            }
            Ok(Target::Redirect(location)) => redirect(&location),
            Ok(Target::Options(allow)) => options(&allow),
            Err(failure) => refuse(self.dialects.of_path(parts.uri.path()), Failure { request_id, ..*failure }, None),
        };
        if head { without_body(response) } else { response }
    }

    /// The rule of a request, or why there is none.
    fn target(&self, parts: &Parts) -> Result<Target<'_>, Box<Failure>> {
        let path = parts.uri.path();
        let mut found = self.find(parts.method.as_str(), path);
        let mut slashed = false;
        if found == Found::Nothing
            && let Some(shorter) = path.strip_suffix('/').filter(|shorter| !shorter.is_empty())
        {
            found = self.find(parts.method.as_str(), shorter);
            slashed = true;
        }
        match found {
            Found::Rule(rule) => {
                let route = &self.routes[rule];
                match (slashed, route.rule.info.surface.trailing_slash) {
                    (false, _) | (true, TrailingSlash::Ignore) => Ok(Target::Route(route)),
                    (true, TrailingSlash::Redirect) => Ok(Target::Redirect(without_slash(parts))),
                    (true, TrailingSlash::Refuse) => Err(Box::new(Failure::not_found())),
                }
            }
            Found::OtherMethods(methods) if parts.method == Method::OPTIONS => Ok(Target::Options(allow(&methods))),
            Found::OtherMethods(methods) => Err(Box::new(Failure::method_not_allowed(allow(&methods)))),
            Found::Nothing => Err(Box::new(Failure::not_found())),
        }
    }

    fn find(&self, method: &str, path: &str) -> Found {
        Path::split(path).map_or(Found::Nothing, |path| self.router.find(method, &path))
    }

    async fn call<B>(&self, route: &Route, mut parts: Parts, body: B) -> Result<Success, Box<Failure>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let rule = route.rule;
        parts.extensions.insert(rule.matched());
        let admitted = self.guard.admit(rule.info, &mut parts.extensions);
        admitted.map_err(|status| Failure::of_status(Origin::Guard, &status, rule.status))?;
        let body = match rule.binding.body {
            Body::None => Bytes::new(),
            _ => self.read(&parts.headers, body).await?,
        };
        let missing = rule.binding.body != Body::None && is_nothing(&body);
        if missing && rule.binding.body_required {
            return Err(Box::new(Failure::body_required().by_reason(rule.status)));
        }
        let outcome = route.call(Call { parts, body }).await;
        outcome.map_err(|failure| Box::new(Failure { body_missing: missing, ..failure.under(rule) }))
    }

    async fn read<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(Failure::too_large(self.max_body));
        }
        let bytes = match Limited::new(body, self.max_body).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(Failure::too_large(self.max_body));
            }
            Err(_) => {
                let text = "the body ended before it was complete";
                return Err(Failure::new(Origin::Decode, Code::InvalidArgument, "BODY_INCOMPLETE", text));
            }
        };
        if bytes.is_empty() || is_json(headers) { Ok(bytes) } else { Err(Failure::media_type()) }
    }
}

/// Whether a body gives nothing: null is as good as absent.
fn is_nothing(body: &[u8]) -> bool {
    body.is_empty() || body.trim_ascii() == b"null"
}

/// Whether the body is said to be JSON: `application/json` or any `+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The methods of a path as Allow has them: GET brings HEAD, and OPTIONS is always there.
fn allow(methods: &[&str]) -> String {
    let mut names = methods.to_vec();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn without_slash(parts: &Parts) -> String {
    let path = parts.uri.path().trim_end_matches('/');
    parts.uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

fn full(status: StatusCode, bytes: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = status;
    response
}

fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::default());
    *response.status_mut() = status;
    response
}

fn answer(rule: &Rule, success: Success) -> Response<ResponseBody> {
    let Success { status, metadata, extensions, payload } = success;
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || rule.empty_body;
    let mut response = match payload {
        Some(payload) if !bodiless => {
            let mut response = full(status, payload.bytes);
            response.headers_mut().insert(header::CONTENT_TYPE, payload.content_type);
            response
        }
        _ => empty(status),
    };
    *response.extensions_mut() = extensions;
    response.extensions_mut().insert(Answered { code: Code::Ok, matched: Some(rule.matched()) });
    if !metadata.is_empty() {
        response.headers_mut().extend(metadata.into_headers());
    }
    response
}

/// An error in a dialect, with the headers that its status asks for.
pub(crate) fn refuse(dialect: &dyn Dialect, failure: Failure, matched: Option<Matched>) -> Response<ResponseBody> {
    let rendered = dialect.render(&failure);
    let mut response = full(rendered.status, rendered.body.into());
    let headers = response.headers_mut();
    *headers = rendered.headers;
    let mut default = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    default(header::CONTENT_TYPE, HeaderValue::from_static(rendered.content_type));
    if let Some(allow) = failure.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        default(header::ALLOW, allow);
    }
    if let Some(seconds) = failure.retry_after {
        default(header::RETRY_AFTER, seconds.into());
    }
    if rendered.status == StatusCode::UNAUTHORIZED {
        default(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response.extensions_mut().insert(Answered { code: failure.code, matched });
    response
}

fn redirect(location: &str) -> Response<ResponseBody> {
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn options(allow: &str) -> Response<ResponseBody> {
    let mut response = empty(StatusCode::NO_CONTENT);
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The answer to HEAD: all but the body, whose length is still told.
fn without_body(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = http_body::Body::size_hint(&body).exact().filter(|length| *length > 0) {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, ResponseBody::default())
}

impl Dialects {
    /// An error that arose outside of any route, in the dialect of its path.
    pub fn refuse(&self, path: &str, failure: Failure) -> Response<ResponseBody> {
        refuse(self.of_path(path), failure, None)
    }
}
