//! Requests to OpenBAO over HTTP, and their repetition.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    address::{Address, Namespace},
    call::Call,
    error::{Cause, OpenBaoError, Result},
    refusal,
    settings::OpenBaoSettings,
};
use crate::{
    base::Secret,
    jobs::backoff,
    providers::egress::{Bounds, Egress, EgressError, Policy},
};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Listeners with `require_request_header` refuse calls without it.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// The pause before the first repetition, which doubles with each, and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest time for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest time that is kept for the health check after a call without a response.
const PROBE: Duration = Duration::from_secs(1);
/// How much of a text of the server is kept for the log, in characters.
const LOGGED: usize = 400;

/// The connection to a server. Each request has its own TCP connection ([`Egress`]).
pub(super) struct Link {
    egress: Egress,
    address: Address,
    namespace: Option<Namespace>,
    timeout: Duration,
}

/// One request.
pub(super) struct Ask<'a> {
    pub call: Call,
    pub method: Method,
    pub path: &'a str,
    pub token: Option<&'a Secret<String>>,
    pub body: Option<Value>,
    /// Values in the body that must not be logged, if the server quotes them.
    pub secrets: &'a [&'a Secret<String>],
}

impl<'a> Ask<'a> {
    pub fn new(call: Call, method: Method, path: &'a str) -> Self {
        Self { call, method, path, token: None, body: None, secrets: &[] }
    }

    pub fn token(self, token: &'a Secret<String>) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The same request with a token.
    pub fn with_token<'b>(&'b self, token: &'b Secret<String>) -> Ask<'b> {
        let Self { call, method, path, body, secrets, .. } = self;
        Ask { call: *call, method: method.clone(), path, token: Some(token), body: body.clone(), secrets }
    }

    pub fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    pub fn secrets(self, secrets: &'a [&'a Secret<String>]) -> Self {
        Self { secrets, ..self }
    }
}

/// A response: the status and the body.
pub(super) struct Reply {
    call: Call,
    pub status: u16,
    body: Bytes,
}

impl Reply {
    /// The body, which must be JSON of this form.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        // The error of the parser may quote a secret.
        serde_json::from_slice(&self.body).map_err(|_| OpenBaoError::new(self.call, Cause::Response))
    }
}

impl Link {
    pub fn new(settings: &OpenBaoSettings) -> Result<Self, EgressError> {
        let connect = CONNECT.min(settings.timeout / 2);
        let bounds = Bounds { connect, total: settings.timeout, idle: settings.timeout, ..Bounds::default() };
        let egress = match &settings.authorities {
            Some(authorities) => Egress::trusting_only(Policy::anywhere(), bounds, authorities)?,
            None => Egress::new(Policy::anywhere(), bounds, &[])?,
        };
        let (address, namespace) = (settings.address.clone(), settings.namespace.clone());
        Ok(Self { egress, address, namespace, timeout: settings.timeout })
    }

    /// The end of the time limit of a call that begins now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Makes a call, once or [repeatedly](Self::call).
    pub async fn ask(&self, ask: &Ask<'_>, deadline: Instant, repeated: bool) -> Result<Reply> {
        if repeated { self.call(ask, deadline).await } else { self.once(ask, deadline).await }
    }

    /// Makes a call. It is repeated until the deadline, with growing pauses, if its failure can pass.
    pub async fn call(&self, ask: &Ask<'_>, deadline: Instant) -> Result<Reply> {
        let (mut failures, mut before) = (0, None::<OpenBaoError>);
        loop {
            let error = match self.once(ask, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            // A repetition has little time: what the attempt before it learned says more than that this one was too slow.
            if matches!(error.cause, Cause::Slow | Cause::Frozen) {
                return Err(before.unwrap_or(error));
            }
            failures += 1;
            let pause = backoff(FIRST_PAUSE, LONGEST_PAUSE, failures);
            if !error.cause.is_retried(ask.call) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, failures, "repeating a call to OpenBAO");
            sleep(pause).await;
            before = Some(error);
        }
    }

    /// Makes a call once.
    pub async fn once(&self, ask: &Ask<'_>, deadline: Instant) -> Result<Reply> {
        let failed = |cause| OpenBaoError::new(ask.call, cause);
        let whole = deadline.saturating_duration_since(Instant::now());
        let kept = PROBE.min(whole / 5);
        let sent = match timeout_at(deadline - kept, self.egress.send(self.request(ask)?)).await {
            Ok(sent) => sent,
            Err(_) => Err(EgressError::Timeout),
        };
        let response = match sent {
            Ok(response) => response,
            Err(EgressError::Timeout) => return Err(failed(self.why_silent(kept).await)),
            Err(error) => return Err(failed(of_egress(&error)).caused_by(error)),
        };
        let (status, body) = (response.status().as_u16(), response.into_body());
        // The health check has its own meanings of statuses.
        if (200..300).contains(&status) || (ask.call == Call::CheckHealth && status != 400) {
            return Ok(Reply { call: ask.call, status, body });
        }
        let text = text_of(&body);
        Err(failed(refusal::cause(ask.call, status, &text)).caused_by(ask.logged(status, text)))
    }

    /// Distinguishes a server that does not respond at all from one that takes long for one call.
    async fn why_silent(&self, kept: Duration) -> Cause {
        let Ok(request) = self.request(&Ask::new(Call::CheckHealth, Method::GET, "sys/health")) else {
            return Cause::Path;
        };
        match tokio::time::timeout(kept, self.egress.send(request)).await {
            Ok(Ok(_)) => Cause::Slow,
            _ => Cause::Frozen,
        }
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Bytes>> {
        let wrong = || OpenBaoError::new(ask.call, Cause::Path);
        let url = self.address.of(ask.path).ok_or_else(wrong)?;
        let mut request = Request::builder().method(&ask.method).uri(url).header(REQUEST, "true");
        if let Some(token) = ask.token {
            // Something that cannot be in a header is not a token.
            let value = HeaderValue::from_str(token.expose());
            let mut value = value.map_err(|_| OpenBaoError::new(ask.call, Cause::TokenInvalid))?;
            value.set_sensitive(true);
            request = request.header(TOKEN, value);
        }
        // In a namespace, health cannot be checked.
        if let Some(namespace) = &self.namespace
            && ask.call != Call::CheckHealth
        {
            request = request.header(NAMESPACE, namespace.as_str());
        }
        let body = ask.body.as_ref().map(|body| Bytes::from(body.to_string()));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(body.unwrap_or_default()).map_err(|_| wrong())
    }
}

impl Ask<'_> {
    /// The text of the server for the log, without the secrets of the request.
    fn logged(&self, status: u16, text: String) -> String {
        let secrets = self.token.into_iter().chain(self.secrets.iter().copied());
        let text = secrets
            .filter(|secret| !secret.expose().is_empty())
            .fold(text, |text, secret| text.replace(secret.expose().as_str(), "***"));
        let text: String = text.chars().take(LOGGED).collect();
        format!("status {status}: {text}")
    }
}

/// The error texts in a body: `{"errors": [...]}`, or plain text.
fn text_of(body: &Bytes) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<String>,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.errors.join("; "),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

fn of_egress(error: &EgressError) -> Cause {
    match error {
        EgressError::Unreachable(_) | EgressError::NotAllowed => Cause::Down,
        EgressError::Timeout => Cause::Frozen,
        EgressError::Tls(_) => Cause::Tls,
        EgressError::Protocol(_) => Cause::Interrupted,
        EgressError::TooLarge(_) => Cause::Response,
        EgressError::Status(status) => Cause::Refused(status.as_u16()),
        EgressError::InWrite => Cause::InWrite,
        EgressError::Url(_) => Cause::Path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_the_server_quotes_are_not_logged() {
        let (token, password) = (Secret::new("s.token".to_owned()), Secret::new("hunter2".to_owned()));
        let empty = Secret::new(String::new());
        let secrets = [&password, &empty];
        let ask = Ask::new(Call::WriteConnection, Method::POST, "database/config/x").token(&token).secrets(&secrets);
        let logged = ask.logged(400, "invalid: hunter2 with s.token".to_owned());
        assert_eq!(logged, "status 400: invalid: *** with ***");
        assert!(ask.logged(500, "x".repeat(10_000)).len() < 500);
    }

    #[test]
    fn the_texts_of_a_refusal_are_joined() {
        assert_eq!(text_of(&Bytes::from_static(b"{\"errors\":[\"a\",\"b\"]}")), "a; b");
        assert_eq!(text_of(&Bytes::from_static(b"Client sent")), "Client sent");
        assert_eq!(text_of(&Bytes::from_static(b"{\"errors\":[]}")), "");
    }
}
