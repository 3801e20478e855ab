//! The fallback service of a server: every REST path.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response, StatusCode, request::Parts};
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use super::{
    accept::Framing,
    answer::{self, CallOutcome},
    body::ResponseBody,
    content::Content,
    deadline::{self, Deadline},
    endpoint::Success,
    etag::{self, Conditions, EtagRule, Verdict},
    read::{self, BoxError},
    route::Route,
    rule::{Body, Call, Rule},
    stream::{ErrorEncoder, Frames, late},
};
use crate::{
    Dialects, Guard, TrailingSlash,
    failure::{Failure, Origin, RequestId},
    router::{Found, Router},
};

/// Serves the REST paths of all routes. A tower service for any request body.
#[derive(Clone)]
pub struct Rest(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub router: Router,
    pub routes: Vec<Route>,
    pub dialects: Dialects,
    pub max_body: usize,
    pub heartbeat: Duration,
    pub timeout: Option<Duration>,
    pub facts: bool,
    pub guard: Arc<dyn Guard>,
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
        // Everything that waits is boxed separately, so that this future stays small.
        Box::pin(async move {
            Ok(match inner.begin(request) {
                Started::Done(response) => response,
                Started::PendingCall(called) => inner.finish(called).await,
            })
        })
    }
}

/// Where a request goes.
enum Target<'i> {
    Route(&'i Route),
    /// A redirect to the path without the trailing slash.
    Redirect(String),
    /// The response to OPTIONS.
    Options(String),
}

impl Failure {
    /// Adds the parts of the request to the violations of a failure.
    fn under(mut self: Box<Self>, rule: &Rule) -> Box<Self> {
        for violation in &mut self.violations {
            violation.part.get_or_insert_with(|| rule.part_of(&violation.field));
        }
        self.types = rule.info.surface.json.types;
        self
    }
}

/// A request after routing.
enum Started<'i> {
    /// Done: there is no method to call.
    Done(Response<ResponseBody>),
    PendingCall(PendingCall<'i>),
}

type Outcome<'i> = Pin<Box<dyn Future<Output = Result<Success, Box<Failure>>> + Send + 'i>>;

/// A call in progress.
struct PendingCall<'i> {
    rule: &'static Rule,
    /// The request was HEAD.
    head: bool,
    outcome: Outcome<'i>,
    framing: Option<Framing>,
    request_id: Option<RequestId>,
    /// The deadline of the client.
    requested: Option<Instant>,
    /// The deadline of the call.
    until: Option<Instant>,
}

impl Inner {
    fn begin<B>(&self, request: Request<B>) -> Started<'_>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        match self.route(&parts) {
            Ok(route) => Started::PendingCall(self.serve(route, parts, body)),
            Err(response) => Started::Done(*response),
        }
    }

    /// The route of a request, or the response if there is none.
    fn route(&self, parts: &Parts) -> Result<&Route, Box<Response<ResponseBody>>> {
        let response = match self.target(parts) {
            Ok(Target::Route(route)) => return Ok(route),
            Ok(Target::Redirect(location)) => answer::redirect(&location),
            Ok(Target::Options(allow)) => answer::options(&allow),
            Err(failure) => {
                let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
                self.dialects.refuse(parts.uri.path(), Failure { request_id, ..*failure })
            }
        };
        let head = parts.method == Method::HEAD;
        Err(Box::new(if head { answer::without_body(response) } else { response }))
    }

    /// The rule of a request, or why there is none.
    fn target(&self, parts: &Parts) -> Result<Target<'_>, Box<Failure>> {
        let path = parts.uri.path();
        if path == "*" && parts.method == Method::OPTIONS {
            // `*`: the server as a whole (RFC 9110, section 9.3.7).
            let methods: Vec<_> =
                self.routes.iter().map(|route| route.rule.method).filter(|method| *method != "*").collect();
            return Ok(Target::Options(allow(&methods)));
        }
        let mut found = self.router.route(parts.method.as_str(), path);
        let mut slashed = false;
        if found == Found::Nothing
            && let Some(shorter) = path.strip_suffix('/').filter(|shorter| !shorter.is_empty())
        {
            found = self.router.route(parts.method.as_str(), shorter);
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

    /// Calls the method of a route.
    fn serve<'i, B>(&'i self, route: &'i Route, mut parts: Parts, body: B) -> PendingCall<'i>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let rule = route.rule;
        let request_id = parts.extensions.get::<RequestId>().cloned();
        let after = |time: Duration| Instant::now().checked_add(time);
        let (requested, most) =
            (deadline::requested_timeout(&parts.headers).and_then(after), self.timeout.and_then(after));
        // The caller's headers choose the form of a stream, and are passed on to the service afterwards.
        let messages = rule.stream && !rule.raw_answer;
        let framing = if messages { Some(Framing::of(&parts.headers)) } else { None };
        let until = requested.into_iter().chain(most).min();
        if let Some(at) = until {
            // An outer server may have set an earlier one.
            let own = Deadline(at.into_std());
            let known = parts.extensions.get_or_insert_with(|| own);
            *known = own.min(*known);
        }
        let head = parts.method == Method::HEAD;
        PendingCall { rule, head, outcome: self.call(route, parts, body), framing, request_id, requested, until }
    }

    /// Awaits the response of a call until its deadline.
    async fn finish(&self, called: PendingCall<'_>) -> Response<ResponseBody> {
        let PendingCall { rule, head, outcome, framing, request_id, requested, until } = called;
        let outcome = match until {
            None => outcome.await,
            Some(at) => timeout_at(at, outcome).await.unwrap_or_else(|_| Err(Box::new(late()))),
        };
        let response = match outcome {
            Ok(success) => {
                let mut response = self.answer(rule, success, framing, request_id, requested);
                if self.facts {
                    response.extensions_mut().insert(CallOutcome { code: Code::Ok, matched: Some(rule.matched()) });
                }
                response
            }
            Err(failure) => self.refuse(rule, request_id, failure),
        };
        if head { answer::without_body(response) } else { response }
    }

    fn refuse(
        &self,
        rule: &'static Rule,
        request_id: Option<RequestId>,
        failure: Box<Failure>,
    ) -> Response<ResponseBody> {
        let failure = Failure { request_id: request_id.map(|id| id.0), ..*failure.under(rule) };
        let dialect = self.dialects.named(rule.info.surface.error_dialect);
        answer::refuse(dialect, failure, Some(rule.matched()))
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
            Content::None => answer::whole(success, None),
            Content::Whole(payload) => answer::whole(success, Some(payload)),
            Content::Items { media_type, first, rest } => {
                let dialect = rule.info.surface.error_dialect;
                let errors = ErrorEncoder { dialects: self.dialects.clone(), dialect, request_id };
                let frames = Frames::new(rest, first, framing, errors, self.heartbeat, deadline);
                let content_type = framing.map_or(media_type, Framing::content_type);
                answer::pieces(rule, success, content_type, ResponseBody::pieces(frames))
            }
        }
    }

    fn call<'i, B>(&'i self, route: &'i Route, mut parts: Parts, body: B) -> Outcome<'i>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let rule = route.rule;
        if self.facts {
            parts.extensions.insert(rule.matched());
        }
        if let Err(failure) = self.admit(rule, &mut parts.extensions) {
            return Box::pin(ready(Err(failure)));
        }
        match rule.binding.body {
            Body::None => self.call_with(route, parts, Bytes::new()),
            _ => Box::pin(self.read_and_call(route, parts, body)),
        }
    }

    /// The first step of the guard.
    fn admit(&self, rule: &'static Rule, extensions: &mut Extensions) -> Result<(), Box<Failure>> {
        let refused = |status| Box::new(Failure::of_status(Origin::Guard, &status, rule.status));
        self.guard.admit(rule.info, extensions).map_err(refused)
    }

    /// Refuses a request by its head, before the body is read. Query and path are checked only if the client waits with
    /// the body; all other requests get the errors of the body first.
    fn check_head<B>(&self, route: &Route, parts: &Parts, body: &B) -> Result<(), Box<Failure>>
    where
        B: http_body::Body,
    {
        read::check(route.rule, &parts.headers, body, self.max_body)?;
        if read::is_held_back(&parts.headers, body) { route.check_head(parts) } else { Ok(()) }
    }

    async fn read_and_call<B>(&self, route: &Route, parts: Parts, body: B) -> Result<Success, Box<Failure>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let rule = route.rule;
        self.check_head(route, &parts, &body)?;
        let body = read::body(rule, &parts.headers, body, self.max_body).await?;
        let missing = match rule.binding.body {
            Body::Raw { .. } => body.is_empty(),
            _ => read::is_nothing(&body),
        };
        if missing && rule.binding.body_required {
            return Err(Box::new(Failure::body_required().by_reason(rule.status)));
        }
        let outcome = self.call_with(route, parts, body).await;
        outcome.map_err(|failure| Box::new(Failure { body_missing: missing, ..*failure }))
    }

    fn call_with<'i>(&self, route: &'i Route, parts: Parts, body: Bytes) -> Outcome<'i> {
        let call = Call { parts, body, tag: None, known: Vec::new(), patience: self.heartbeat };
        match &route.rule.etag {
            None => route.call(call),
            Some(etag) => Box::pin(conditional(route, etag, call)),
        }
    }
}

/// A call of a method whose responses have an entity tag.
async fn conditional(route: &Route, rule: &EtagRule, mut call: Call) -> Result<Success, Box<Failure>> {
    let conditions = Conditions::of(&call.parts.headers)?;
    let method = call.parts.method.clone();
    match method.is_safe() {
        true => call.known = conditions.known_for(rule),
        false => call.tag = conditions.tag_for(rule)?,
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

/// The methods of a path for Allow: GET implies HEAD, and OPTIONS is always there.
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
    // Browsers treat a backslash as a slash, and two slashes as the start of another host.
    let path = parts.uri.path().trim_end_matches('/').replace('\\', "%5C");
    parts.uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
}
