//! Idempotency keys: a call that is sent twice with the same key takes effect once and has the same response both times, over
//! gRPC and REST.
//!
//! Every method with an audit rule and a caller takes a key. The generated code checks for it behind the guard, on the decoded
//! message, so a replay discloses nothing that the guard would not allow. A key belongs to its caller, with the caller's roles, and
//! to the method; it identifies one message.
//!
//! The key is claimed by the first write of the call, in the same transaction ([`idempotent`]), so it is claimed exactly when the
//! call has an effect: a call that wrote nothing leaves nothing, and one that wrote is never repeated, whatever happened to its
//! response. The response is stored right after the call. Once its message is complete, a call runs in a task of its own, without
//! the caller's deadline: a deadline or a disconnect ends the wait, not the call.
//!
//! Calls with the same key wait for each other within a process. Of two on different servers, the database lets one write, and
//! the other returns the response of the first.

mod answers;
mod fingerprint;
mod latches;

use std::{sync::Arc, time::Duration};

use http::Extensions;
use tokio::time::Instant;
use tonic::{Code, metadata::MetadataMap};
use transcoder::{
    MethodInfo,
    once::{Encoded, Once, Run, Running},
};

use self::{answers::Answers, latches::Latches};
use crate::{
    base::{Cx, Error, KeyedCall, Kind, Result, SentKey, TenantId, cx::CxFacts, error::Reason},
    store::{
        Sealer, Store,
        idempotent::{self, Known},
    },
};

/// How long a call waits for another one with the same key.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks for the response of another server in the meantime.
const PAUSE: Duration = Duration::from_millis(50);
/// How long after its first write a call may still be storing its response.
const SETTLING: Duration = Duration::from_secs(30);

/// The state that calls with keys share, in the extensions of their requests. Cheap to clone.
#[derive(Clone)]
pub struct Idempotency(Arc<Shared>);

struct Shared {
    store: Store,
    answers: Answers,
    latches: Latches,
}

/// A call that was sent with a key.
struct Keyed {
    shared: Idempotency,
    method: &'static MethodInfo,
    key: String,
    /// The conditions of the request (RFC 9110, section 13).
    conditions: String,
    cx: Cx,
}

/// A call with a key, once its message is known.
struct Begun {
    call: KeyedCall,
    /// The tenant whose data key seals the response.
    tenant: Option<TenantId>,
}

impl Idempotency {
    /// Of a store.
    pub fn new(store: Store, sealer: Sealer) -> Self {
        let answers = Answers::new(store.clone(), sealer);
        Self(Arc::new(Shared { store, answers, latches: Latches::default() }))
    }
}

/// The call of a request that was sent with a key.
pub(super) fn once(
    cx: &Cx,
    method: &'static MethodInfo,
    extensions: &Extensions,
    metadata: &MetadataMap,
) -> Option<Box<dyn Once<Cx>>> {
    let sent = extensions.get::<SentKey>()?;
    let shared = extensions.get::<Idempotency>()?.clone();
    // The guard has refused malformed keys.
    let key = sent.read().ok()?.to_owned();
    let conditions = fingerprint::conditions(metadata);
    Some(Box::new(Keyed { shared, method, key, conditions, cx: cx.clone() }))
}

impl Once<Cx> for Keyed {
    fn answer(self: Box<Self>, request: Vec<u8>, run: Run<Cx>) -> Running<Encoded> {
        Box::pin(async move {
            // Dropping this future only ends the wait.
            match self.shared.0.store.clone().see_through(self.once(request, run)).await {
                Ok(answer) => answer,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(error) => Err(Error::internal(error).to_status()),
            }
        })
    }
}

impl Keyed {
    async fn once(self, request: Vec<u8>, run: Run<Cx>) -> Encoded {
        let begun = fingerprint::begin(&self.cx.caller, self.method, &self.key, &self.conditions, &request);
        let cx = CxFacts { keyed: Some(begun.call.clone()), deadline: None, ..CxFacts::clone(&self.cx) };
        let outcome = self.shared.0.once(&begun, run(Cx::new(cx))).await;
        // Holding the context until here keeps the permit of the call, so the load limit counts it.
        outcome.unwrap_or_else(|error| Err(transcoder::handler::Context::status(&self.cx, error)))
    }
}

impl Shared {
    /// Makes the call, unless one with its key took effect.
    async fn once(&self, begun: &Begun, call: Running<Encoded>) -> Result<Encoded> {
        // First of all: a response that could not be sealed would be lost.
        self.answers.check(begun).await?;
        let end = Instant::now() + PATIENCE;
        let _latch = self.latches.enter(begun.call.id(), end).await.ok_or_else(running)?;
        match self.recall(begun, end).await? {
            Some(replay) => Ok(replay),
            None => self.settle(begun, call.await).await,
        }
    }

    /// The response of a call that took effect with the key; `None` if there was none.
    async fn recall(&self, begun: &Begun, end: Instant) -> Result<Option<Encoded>> {
        loop {
            match idempotent::look(&self.store, &begun.call).await? {
                Known::Nothing => return Ok(None),
                Known::Other => return Err(reused()),
                Known::Older => return Err(older()),
                Known::Answered(sealed) => return self.answers.replay(begun, &sealed).await.map(Some),
                Known::Unanswered(age) if Instant::now() >= end => return Err(unanswered(age)),
                Known::Unanswered(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Stores the response if the call took effect, and returns what the caller gets.
    async fn settle(&self, begun: &Begun, answer: Encoded) -> Result<Encoded> {
        if !begun.call.has_written() {
            // A write that failed may have been committed, and another server may have been first: the database knows.
            match self.recall(begun, Instant::now() + PATIENCE).await {
                Ok(Some(replay)) => return Ok(replay),
                Err(error) if matches!(error.kind, Kind::Aborted | Kind::AlreadyExists) => return Err(error),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "cannot look for another answer under an idempotency key"),
            }
        }
        if answer.as_ref().map_or_else(|status| begun.call.has_written() && !is_ours(status.code()), |_| true) {
            self.answers.keep(begun, &answer).await;
        }
        Ok(answer)
    }
}

/// Whether a failure is the server's, so that the same call may succeed later.
fn is_ours(code: Code) -> bool {
    transcoder::status_of(code).is_server_error()
}

fn reused() -> Error {
    Error::exists(Reason::IdempotencyKeyReused, "the Idempotency-Key was already used for a different request")
}

/// An older server made a call with the key. Neither can the requests be compared nor its response replayed.
fn older() -> Error {
    let text = "a request with this Idempotency-Key took effect on a server of an earlier version; check the resource \
                before retrying with a new key";
    Error::new(Kind::Aborted, Reason::IdempotentAnswerLost, text)
}

fn running() -> Error {
    let text = "a request with this Idempotency-Key is in progress; retry later";
    Error::new(Kind::Aborted, Reason::IdempotentCallBegun, text).retry_after(Duration::from_secs(1))
}

/// A call took effect this long ago, and its response is not stored.
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

    #[test]
    fn a_failure_of_the_server_is_not_kept() {
        for code in [Code::Internal, Code::Unknown, Code::Unavailable, Code::DeadlineExceeded, Code::DataLoss] {
            assert!(is_ours(code), "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::Aborted, Code::NotFound, Code::FailedPrecondition] {
            assert!(!is_ours(code), "{code:?}");
        }
    }
}
