//! `Idempotency-Key`: a POST of the zero-trust surface that comes twice under one key takes effect once, and is answered the
//! same both times (zero-trust contract, section 2).
//!
//! It stands inside of the other layers, around REST: the caller is known. What the head of a request alone decides is
//! answered before the body is asked for. A key belongs to its caller, with the roles it has, and to the path, so nobody is
//! told by a replay what the guard would not let them do.
//!
//! The key is claimed by the call's first write, in the same transaction ([`idempotent`]), so "claimed" and "done" cannot
//! part: a call that wrote nothing leaves nothing, whatever it was answered, and one that wrote is never done again,
//! whatever became of its answer. The answer is kept right after the call. From its whole body on, a call runs in a task
//! of its own, without the caller's deadline: a deadline or a hang-up ends the wait, not the call.
//!
//! Calls with one key wait for each other within a process. Of two on different servers the database lets one write, and
//! the other is answered as that one was.

mod answers;
mod latches;
mod request;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};
use tokio::time::Instant;
use tower::Service as _;
use transcoder::{Dialects, RequestId, Rest, rest::ResponseBody};

use self::{answers::Answers, latches::Latches, request::Keyed};
use super::{
    answer::{self, Failure, Head},
    load::Place,
};
use crate::{
    auth::{Authentication, Surface},
    base::{Caller, Error, Kind, Result, error::Reason},
    store::{
        Sealer, Store,
        idempotent::{self, Known},
    },
};

/// How long a call waits for another one with the same key.
const TIMEOUTS: Duration = Duration::from_secs(2);
/// How often it looks meanwhile for the answer of another server.
const PAUSE: Duration = Duration::from_millis(50);
/// How long after its first write a call may still be on its way to its answer.
const SETTLING: Duration = Duration::from_secs(30);

/// REST behind the keys. Cheap to clone.
#[derive(Clone)]
pub struct Idempotent {
    rest: Rest,
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    answers: Answers,
    latches: Latches,
    dialects: Dialects,
    max_body: usize,
}

impl Idempotent {
    /// Puts the keys before REST.
    pub fn new(rest: Rest, store: Store, sealer: Sealer, dialects: Dialects, max_body: usize) -> Self {
        let answers = Answers::new(store.clone(), sealer);
        Self { rest, shared: Arc::new(Shared { store, answers, latches: Latches::default(), dialects, max_body }) }
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

/// Lets a call that comes with a key keep its place among the calls that are worked on for as long as it runs.
pub(super) fn hold(request: &mut Request<Body>, place: &Arc<Place>) {
    if request.headers().contains_key(&request::KEY) {
        request.extensions_mut().insert(place.clone());
    }
}

/// The caller of a call that comes with a key. What the caller may do is for the guard to say, which knows the method: a
/// tenant that is suspended, too, may do some things.
fn asked(request: &Request<Body>) -> Option<Caller> {
    if !request.headers().contains_key(&request::KEY) || request.method() != Method::POST {
        return None;
    }
    match request.extensions().get::<Authentication>() {
        Some(Authentication::Caller(caller, Surface::ZeroTrust)) => Some(caller.clone()),
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
    /// Reads the request, and waits for its answer. What is dropped here is the wait.
    async fn answer(
        self: Arc<Self>,
        rest: Rest,
        caller: &Caller,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let (parts, body) = request.into_parts();
        // Whoever waits to be asked for the body is asked only if it matters.
        if let Some(response) = rest.answer_to_head(&parts, &body) {
            return Ok(response.map(Body::new));
        }
        let key = request::read_key(&parts.headers)?;
        let (keyed, mut request) = request::read(caller, &key, parts, body, self.max_body).await?;
        let place = request.extensions_mut().remove::<Arc<Place>>();
        let shared = self.clone();
        let answered = self.store.see_through(async move {
            let answered = shared.once(rest, &keyed, request).await;
            drop(place);
            answered
        });
        match answered.await {
            Ok(answered) => answered.map_err(Failure::Call),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(Failure::Call(Error::internal(error))),
        }
    }

    /// Makes the call, unless one with its key took effect.
    async fn once(&self, mut rest: Rest, keyed: &Keyed, request: Request<Body>) -> Result<Response<Body>> {
        // First of all: an answer that could not be kept would be of a call that can never be told.
        self.answers.check(keyed).await?;
        let end = Instant::now() + TIMEOUTS;
        let _latch = self.latches.enter(keyed.call.id(), end).await.ok_or_else(running)?;
        match self.recall(keyed, end).await? {
            Some(replay) => Ok(replay),
            None => {
                let response = send(&mut rest, request).await;
                self.settle(keyed, response).await
            }
        }
    }

    /// The answer of a call that took effect under the key; none if there was no such call.
    async fn recall(&self, keyed: &Keyed, end: Instant) -> Result<Option<Response<Body>>> {
        loop {
            match idempotent::look(&self.store, &keyed.call).await? {
                Known::Nothing => return Ok(None),
                Known::Other => return Err(reused()),
                Known::Answered(sealed) => return self.answers.replay(keyed, &sealed).await.map(Some),
                Known::Unanswered(age) if Instant::now() >= end => return Err(unanswered(age)),
                Known::Unanswered(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// What the caller is answered, which is kept if the call took effect.
    async fn settle(&self, keyed: &Keyed, response: Response<ResponseBody>) -> Result<Response<Body>> {
        let (parts, body) = response.into_parts();
        // A stream is not kept: whoever comes again begins it anew.
        let Some(bytes) = body.whole().map(Bytes::copy_from_slice) else {
            return Ok(Response::from_parts(parts, Body::new(body)));
        };
        if !keyed.call.has_written() {
            // A write that failed may have come to pass all the same, and another server may have been first: if the
            // database knows of it, that is the answer.
            match self.recall(keyed, Instant::now() + TIMEOUTS).await {
                Ok(Some(replay)) => return Ok(replay),
                Err(error) if matches!(error.kind, Kind::Aborted | Kind::AlreadyExists) => return Err(error),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "it cannot be looked for another answer"),
            }
        }
        if parts.status.is_success() || (keyed.call.has_written() && !parts.status.is_server_error()) {
            self.answers.keep(keyed, &parts, &bytes).await;
        }
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }

    fn refuse(&self, head: &Head, failure: Failure) -> Response<Body> {
        if let Failure::Call(Error { cause: Some(cause), .. }) = &failure {
            tracing::error!(request_id = head.request_id.0, cause = cause.as_ref(), "an idempotency key failed");
        }
        answer::answer(&self.dialects, head, failure)
    }
}

fn reused() -> Error {
    Error::exists(Reason::IdempotencyKeyReused, "the Idempotency-Key was already used for a different request")
}

fn running() -> Error {
    let text = "a request with this Idempotency-Key is in progress; retry later";
    Error::new(Kind::Aborted, Reason::IdempotentCallBegun, text).retry_after(Duration::from_secs(1))
}

/// A call took effect so long ago, and nobody knows its answer.
fn unanswered(age: time::Duration) -> Error {
    if age < SETTLING {
        let text =
            "a request with this Idempotency-Key took effect, but its response is not available yet; retry later";
        return Error::new(Kind::Aborted, Reason::IdempotentCallBegun, text).retry_after(Duration::from_secs(1));
    }
    let text = "a request with this Idempotency-Key took effect, but its response was not stored; check the resource \
                before retrying with a new key";
    Error::new(Kind::Aborted, Reason::IdempotentAnswerLost, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_on_its_way_is_told_from_one_that_was_lost() {
        let settling = unanswered(time::Duration::SECOND);
        assert_eq!((settling.kind, settling.retry_after), (Kind::Aborted, Some(Duration::from_secs(1))));
        let lost = unanswered(time::Duration::seconds(30));
        assert!(lost.retry_after.is_none() && lost.to_string().contains("was not stored"), "{lost}");
    }
}
