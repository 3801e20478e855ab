//! The fallback service of a server: every REST path.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use tokio::time::{Instant, timeout_at};

use super::{
    accept::Framing,
    answer,
    body::ResponseBody,
    deadline::{self, Deadline},
    endpoint::{Content, Success},
    etag::{self, Conditions, EtagRule, Verdict},
    read::{self, BoxError},
    route::Route,
    rule::{Body, Call, Rule},
    stream::{Frames, Teller, late},
};
use crate::{
    Dialects, Guard, Open, TrailingSlash,
    failure::{Failure, Origin, RequestId},
    router::{Found, Path, Router},
};

/// Collects routes and what holds for all of them.
#[derive(Debug)]
pub struct RestBuilder {
    routes: Vec<Route>,
    dialects: Dialects,
    max_body: usize,
    heartbeat: Duration,
    timeout: Option<Duration>,
}

/// No routes yet, and errors in the dialect of AIP-193.
impl Default for RestBuilder {
    fn default() -> Self {
        Self::new(Dialects::default())
    }
}

impl RestBuilder {
    /// No routes yet, and these dialects.
    pub fn new(dialects: Dialects) -> Self {
        Self { routes: Vec::new(), dialects, max_body: 1 << 20, heartbeat: Duration::from_secs(15), timeout: None }
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

    /// How long a stream may be silent: the first message is awaited so long before the head of the answer is sent, and an
    /// event stream then gets a comment each time. 15 seconds unless told; zero waits for the first message as long as it
    /// takes, and sends no comments. The first piece of raw bytes, which tells their media type, is always waited for.
    pub fn heartbeat(self, every: Duration) -> Self {
        Self { heartbeat: every, ..self }
    }

    /// The longest time until a call answers, or its stream begins. Without it, only the caller bounds a call, by
    /// `grpc-timeout` or `X-Server-Timeout`.
    pub fn timeout(self, most: Duration) -> Self {
        Self { timeout: Some(most), ..self }
    }

    /// The service, open to everybody.
    pub fn open(self) -> Rest {
        self.build(Arc::new(Open))
    }

    /// The service, with the guard that every call passes.
    pub fn build(self, guard: Arc<dyn Guard>) -> Rest {
        let mut router = Router::default();
        for route in &self.routes {
            router.add(route.rule.method, &route.rule.template);
        }
        let Self { routes, dialects, max_body, heartbeat, timeout } = self;
        Rest(Arc::new(Inner { router, routes, dialects, max_body, heartbeat, timeout, guard }))
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
    heartbeat: Duration,
    timeout: Option<Duration>,
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
    fn under(mut self: Box<Self>, rule: &Rule) -> Box<Self> {
        for violation in &mut self.violations {
            violation.place.get_or_insert_with(|| rule.place_of(&violation.field));
        }
        self.types = rule.info.surface.habits.types;
        self
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
        let response = match self.target(&parts) {
            Ok(Target::Route(route)) => self.serve(route, parts, body).await,
            Ok(Target::Redirect(location)) => answer::redirect(&location),
            Ok(Target::Options(allow)) => answer::options(&allow),
            Err(failure) => {
                let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
                self.dialects.refuse(parts.uri.path(), Failure { request_id, ..*failure })
            }
        };
        if head { answer::without_body(response) } else { response }
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

    /// Calls the method of a route, in time, and answers.
    async fn serve<B>(&self, route: &Route, mut parts: Parts, body: B) -> Response<ResponseBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let rule = route.rule;
        let request_id = parts.extensions.get::<RequestId>().cloned();
        let after = |time: Duration| Instant::now().checked_add(time);
        let (asked, most) = (deadline::asked(&parts.headers).and_then(after), self.timeout.and_then(after));
        // How a stream is sent is asked of the caller's headers, which go on to the service.
        let messages = rule.stream && !rule.raw_answer;
        let framing = if messages { Some(Framing::of(&parts.headers)) } else { None };
        let outcome = match asked.into_iter().chain(most).min() {
            None => self.call(route, parts, body).await,
            Some(at) => {
                // A server around this one may have set an earlier one.
                let own = Deadline(at.into_std());
                let known = parts.extensions.get_or_insert_with(|| own);
                *known = own.min(*known);
                timeout_at(at, self.call(route, parts, body)).await.unwrap_or_else(|_| Err(Box::new(late())))
            }
        };
        let dialect = rule.info.surface.error_dialect;
        match outcome {
            Ok(success) => self.answer(rule, success, framing, request_id, asked),
            Err(failure) => {
                let failure = Failure { request_id: request_id.map(|id| id.0), ..*failure.under(rule) };
                answer::refuse(self.dialects.named(dialect), failure, Some(rule.matched()))
            }
        }
    }

    fn answer(
        &self,
        rule: &'static Rule,
        mut success: Success,
        framing: Option<Framing>,
        request_id: Option<RequestId>,
        deadline: Option<Instant>,
    ) -> Response<ResponseBody> {
        match std::mem::replace(&mut success.content, Content::None) {
            Content::None => answer::whole(rule, success, None),
            Content::Whole(payload) => answer::whole(rule, success, Some(payload)),
            Content::Items { media_type, first, rest } => {
                let dialect = rule.info.surface.error_dialect;
                let teller = Teller { dialects: self.dialects.clone(), dialect, request_id };
                let frames = Frames::new(rest, first, framing, teller, self.heartbeat, deadline);
                let content_type = framing.map_or(media_type, Framing::content_type);
                answer::pieces(rule, success, content_type, ResponseBody::pieces(frames))
            }
        }
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
            _ => read::body(rule, &parts.headers, body, self.max_body).await?,
        };
        let missing = match rule.binding.body {
            Body::None => false,
            Body::Raw { .. } => body.is_empty(),
            Body::Whole | Body::Field { .. } => read::is_nothing(&body),
        };
        if missing && rule.binding.body_required {
            return Err(Box::new(Failure::body_required().by_reason(rule.status)));
        }
        let call = Call { parts, body, tag: None, patience: self.heartbeat };
        let outcome = match &rule.etag {
            None => route.call(call).await,
            Some(etag) => conditional(route, etag, call).await,
        };
        outcome.map_err(|failure| Box::new(Failure { body_missing: missing, ..*failure }))
    }
}

/// A call of a method whose answers carry an entity tag.
async fn conditional(route: &Route, rule: &EtagRule, mut call: Call) -> Result<Success, Box<Failure>> {
    let conditions = Conditions::of(&call.parts.headers)?;
    let method = call.parts.method.clone();
    if !method.is_safe() {
        call.tag = conditions.tag_for(rule)?;
    }
    let mut success = route.call(call).await.map_err(|failure| conditions.judge(failure))?;
    if success.status.is_success() {
        match conditions.verdict(&method, success.tag.as_deref()) {
            Verdict::Send => {}
            Verdict::Failed => return Err(etag::failed()),
            Verdict::NotModified(tag) => {
                success = Success { status: StatusCode::NOT_MODIFIED, content: Content::None, tag, ..success };
            }
        }
    }
    Ok(success)
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
    // Browsers take a backslash for a slash, and two of those for another host.
    let path = parts.uri.path().trim_end_matches('/').replace('\\', "%5C");
    parts.uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
}
