//! `Idempotency-Key`: a POST of the zero-trust surface that comes twice under one key takes effect once, and is answered the
//! same both times (zero-trust contract, section 2).
//!
//! It stands inside of the other layers, around REST: the caller is known, the guard is not asked yet. A key belongs to its
//! caller, with the roles it has, and to the path, so nobody is told by a replay what the guard would not let them do.
//!
//! The key is claimed in a transaction of its own before the call, and the answer is kept in another one after it. Whoever
//! comes between waits a little. A call that was cut off between the two leaves the claim: what became of it is not known,
//! and whoever comes again is told so until the claim ends, because to run it again might do it twice. A caller who hangs
//! up cuts nothing off: the call runs in a task of its own.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::Instant;
use tower::Service as _;
use transcoder::{Dialects, Origin, RequestId, Rest, percent::canonical_path, rest::ResponseBody};

use super::answer::{self, Failure, Head};
use crate::{
    auth::{Authentication, Surface},
    base::{Caller, Error, Kind, Result, TenantId, digest::sha256_hex, error::Reason},
    store::{
        Store, Vault,
        idempotent::{self, Claim},
    },
};

/// The header that carries the key.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key, in characters.
const MAX_KEY: usize = 255;
/// Largest answer that is kept, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// How long a call waits for another one with the same key.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks meanwhile.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a call that was begun may still be worked on; one that is older was cut off.
const LONGEST: Duration = Duration::from_secs(120);

/// REST behind the keys. Cheap to clone.
#[derive(Clone)]
pub struct Idempotent {
    rest: Rest,
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    vault: Vault,
    dialects: Dialects,
    max_body: usize,
}

/// A key that was claimed, or that somebody wants to claim.
struct Claimed {
    id: String,
    request_hash: String,
    /// Whose key seals the answer.
    tenant: Option<TenantId>,
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    /// In base64; none if it was too large.
    body: Option<String>,
}

impl Idempotent {
    /// Puts the keys before REST.
    pub fn new(rest: Rest, store: Store, vault: Vault, dialects: Dialects, max_body: usize) -> Self {
        Self { rest, shared: Arc::new(Shared { store, vault, dialects, max_body }) }
    }

    /// Answers a call.
    pub async fn call(mut self, request: Request<Body>) -> Response<Body> {
        let Some(caller) = asked(&request) else { return send(&mut self.rest, request).await.map(Body::new) };
        let id = request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone());
        let head = Head::of(&request, RequestId(id));
        match self.shared.clone().answer(self.rest, &caller, request).await {
            Ok(response) => response,
            Err(failure) => self.shared.refuse(&head, failure),
        }
    }
}

/// The caller of a call that comes with a key. Whoever the guard refuses in any case has none.
fn asked(request: &Request<Body>) -> Option<Caller> {
    if !request.headers().contains_key(KEY) || request.method() != Method::POST {
        return None;
    }
    match request.extensions().get::<Authentication>() {
        Some(Authentication::Caller(caller, Surface::ZeroTrust)) => {
            let suspended = caller.tenant.as_ref().is_some_and(|tenant| tenant.suspended);
            (!suspended).then(|| caller.clone())
        }
        _ => None,
    }
}

async fn send(rest: &mut Rest, request: Request<Body>) -> Response<ResponseBody> {
    match rest.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl Shared {
    async fn answer(
        self: Arc<Self>,
        rest: Rest,
        caller: &Caller,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let key = read_key(request.headers())?;
        let (parts, body) = request.into_parts();
        let body = read_body(body, self.max_body).await?;
        let claimed = Claimed::of(caller, &key, &parts, &body);
        match self.claim(&claimed).await.map_err(Failure::Call)? {
            Some(replay) => Ok(replay),
            None => self.run(rest, claimed, Request::from_parts(parts, Body::from(body))).await,
        }
    }

    /// Claims a key; the answer, if there is one already.
    async fn claim(&self, claimed: &Claimed) -> Result<Option<Response<Body>>> {
        // First of all: an answer that could not be kept would leave a call that can never be told.
        self.vault.seal(claimed.tenant, &claimed.purpose(), b"").await?;
        let end = Instant::now() + PATIENCE;
        loop {
            match idempotent::claim(&self.store, &claimed.id, &claimed.request_hash).await? {
                Claim::First => return Ok(None),
                Claim::Other => return Err(reused()),
                Claim::Answered(sealed) => return self.replay(claimed, &sealed).await.map(Some),
                Claim::Begun(since) if Instant::now() >= end => return Err(begun(since, self.store.clock().now())),
                Claim::Begun(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn replay(&self, claimed: &Claimed, sealed: &str) -> Result<Response<Body>> {
        let kept = self.vault.open(claimed.tenant, &claimed.purpose(), sealed).await?;
        let kept: Kept = serde_json::from_slice(kept.expose()).map_err(Error::internal)?;
        let body = kept.body.ok_or_else(lost)?;
        let mut response = Response::new(Body::from(STANDARD_NO_PAD.decode(body).map_err(Error::internal)?));
        *response.status_mut() = StatusCode::from_u16(kept.status).map_err(Error::internal)?;
        for (name, value) in kept.headers {
            let name = HeaderName::try_from(name).map_err(Error::internal)?;
            response.headers_mut().append(name, HeaderValue::try_from(value).map_err(Error::internal)?);
        }
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    /// Makes the call and keeps its answer, whether or not the caller waits for it.
    async fn run(
        self: Arc<Self>,
        mut rest: Rest,
        claimed: Claimed,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let call = tokio::spawn(async move {
            let response = send(&mut rest, request).await;
            self.settle(&claimed, response).await
        });
        match call.await {
            Ok(response) => Ok(response),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(Failure::Call(Error::internal(error))),
        }
    }

    /// Keeps an answer, or gives the key back if the call came to nothing that a repetition would not change.
    async fn settle(&self, claimed: &Claimed, response: Response<ResponseBody>) -> Response<Body> {
        let (parts, body) = response.into_parts();
        // A stream is not kept: whoever comes again begins it anew.
        let Some(bytes) = body.whole().map(Bytes::copy_from_slice) else {
            note(idempotent::release(&self.store, &claimed.id).await);
            return Response::from_parts(parts, Body::new(body));
        };
        let settled = if may_be_repeated(parts.status) {
            idempotent::release(&self.store, &claimed.id).await
        } else {
            self.keep(claimed, parts.status, &parts.headers, &bytes).await
        };
        note(settled);
        Response::from_parts(parts, Body::from(bytes))
    }

    async fn keep(&self, claimed: &Claimed, status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Result<()> {
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
        let kept = Kept {
            status: status.as_u16(),
            headers: headers.iter().filter_map(text).collect(),
            body: (body.len() <= MAX_ANSWER).then(|| STANDARD_NO_PAD.encode(body)),
        };
        let kept = serde_json::to_vec(&kept).map_err(Error::internal)?;
        let sealed = self.vault.seal(claimed.tenant, &claimed.purpose(), &kept).await?;
        idempotent::keep(&self.store, &claimed.id, sealed).await
    }

    fn refuse(&self, head: &Head, failure: Failure) -> Response<Body> {
        if let Failure::Call(Error { cause: Some(cause), .. }) = &failure {
            tracing::error!(request_id = head.request_id.0, cause = cause.as_ref(), "an idempotency key failed");
        }
        answer::answer(&self.dialects, head, failure)
    }
}

impl Claimed {
    fn of(caller: &Caller, key: &str, parts: &Parts, body: &Bytes) -> Self {
        let tenant = caller.tenant.as_ref().map(|tenant| tenant.id);
        let roles: Vec<_> = caller.roles().iter().map(|role| role.as_str()).collect();
        let who = [
            caller.kind.as_str().to_owned(),
            tenant.map(TenantId::dashed).unwrap_or_default(),
            caller.account.map(|account| account.to_string()).unwrap_or_default(),
            caller.subject.clone(),
            roles.join(","),
            caller.project.clone().unwrap_or_default(),
            // However it is spelled, it is one path.
            canonical_path(parts.uri.path()).into_owned(),
            key.to_owned(),
        ];
        let query = parts.uri.query().unwrap_or_default();
        Self {
            // None of them holds a line break.
            id: sha256_hex([who.join("\n").as_bytes()]),
            request_hash: sha256_hex([query.as_bytes(), b"\n", body]),
            tenant,
        }
    }

    /// What the answer is sealed for: it opens under its own key alone.
    fn purpose(&self) -> String {
        format!("idempotent-answer:{}", self.id)
    }
}

/// An answer that is not kept is an answer all the same.
fn note(settled: Result<()>) {
    if let Err(error) = settled {
        tracing::error!(%error, cause = error.cause.as_deref(), "an answer cannot be kept for its idempotency key");
    }
}

/// Whether a call with this answer may be made again under the same key: we failed, or the caller might not make it.
fn may_be_repeated(status: StatusCode) -> bool {
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || refused.contains(&status)
}

/// The one key of a call: 1 to 255 visible characters of ASCII.
fn read_key(headers: &HeaderMap) -> Result<String, Failure> {
    let mut all = headers.get_all(KEY).iter();
    let key = match (all.next(), all.next()) {
        (Some(key), None) => key.as_bytes(),
        _ => &[],
    };
    if (1..=MAX_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic) {
        return Ok(String::from_utf8_lossy(key).into_owned());
    }
    let text = format!("Idempotency-Key has 1 to {MAX_KEY} visible ASCII characters, and comes once");
    Err(malformed("IDEMPOTENCY_KEY_INVALID", text))
}

/// The body of a call, which tells one call from another under the same key.
async fn read_body(body: Body, most: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Failure::Rest(Box::new(transcoder::Failure::too_large(most))))
        }
        Err(_) => Err(malformed("BODY_INCOMPLETE", "the body ended before it was complete")),
    }
}

fn malformed(reason: &str, text: impl Into<String>) -> Failure {
    Failure::Rest(Box::new(transcoder::Failure::new(Origin::Decode, Kind::InvalidArgument, reason, text)))
}

fn reused() -> Error {
    Error::exists(Reason::IdempotencyKeyReused, "the Idempotency-Key was used for another request")
}

fn begun(since: OffsetDateTime, now: OffsetDateTime) -> Error {
    let conflict = |text| Error::new(Kind::Aborted, Reason::IdempotentCallBegun, text);
    if now - since < LONGEST {
        let text = "a request with this Idempotency-Key is being worked on; retry later";
        return conflict(text).retry_after(Duration::from_secs(1));
    }
    conflict(
        "a request with this Idempotency-Key was cut off, and what became of it is not known; look before you send \
        it again under another key",
    )
}

fn lost() -> Error {
    let text = "the request with this Idempotency-Key was done, and its answer was too large to be kept";
    Error::new(Kind::Aborted, Reason::IdempotentAnswerLost, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Result<String, Failure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        read_key(&headers)
    }

    #[test]
    fn a_key_is_one_plain_word() {
        assert_eq!(key(&["a-1_~!"]).unwrap(), "a-1_~!");
        assert!(key(&["x".repeat(255).as_str()]).is_ok());
        for bad in [&[""][..], &["a b"], &["ä"], &["a", "a"], &["x".repeat(256).as_str()]] {
            assert!(matches!(key(bad), Err(Failure::Rest(failure)) if failure.status == 400), "{bad:?}");
        }
    }

    #[test]
    fn a_call_that_was_cut_off_is_told_from_one_that_runs() {
        let since = OffsetDateTime::UNIX_EPOCH;
        let running = begun(since, since + Duration::from_secs(1));
        assert_eq!((running.kind, running.retry_after), (Kind::Aborted, Some(Duration::from_secs(1))));
        let cut_off = begun(since, since + LONGEST);
        assert!(cut_off.retry_after.is_none() && cut_off.to_string().contains("was cut off"), "{cut_off}");
    }

    #[test]
    fn our_failures_and_refusals_are_not_answers() {
        for status in [401, 403, 429, 500, 503, 504] {
            assert!(may_be_repeated(StatusCode::from_u16(status).unwrap()), "{status}");
        }
        for status in [200, 201, 204, 400, 404, 409, 422] {
            assert!(!may_be_repeated(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }

    #[test]
    fn a_key_is_its_callers_and_its_paths() {
        let id = |caller: &Caller, path: &str, body: &'static str| {
            let (parts, ()) = Request::post(path).body(()).unwrap().into_parts();
            let claimed = Claimed::of(caller, "k", &parts, &Bytes::from_static(body.as_bytes()));
            (claimed.id, claimed.request_hash)
        };
        let (system, nobody) = (Caller::system(), Caller::new(crate::base::caller::CallerFacts::default()));
        let first = id(&system, "/v1/admin/groups/lifecycle", "{}");
        assert_eq!(first, id(&system, "/v1/admin/groups/lifecycle", "{}"));
        assert_ne!(first.0, id(&nobody, "/v1/admin/groups/lifecycle", "{}").0);
        assert_eq!(first, id(&system, "/v1/%61dmin/groups/lifecycle", "{}"), "another spelling is the same path");
        assert_ne!(first.0, id(&system, "/v1/admin/api-keys", "{}").0);
        for (path, body) in [("/v1/admin/groups/lifecycle?a=b", "{}"), ("/v1/admin/groups/lifecycle", "{ }")] {
            let other = id(&system, path, body);
            assert!(other.0 == first.0 && other.1 != first.1, "{path} {body}");
        }
    }
}
