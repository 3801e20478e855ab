//! Idempotency keys: a call that is sent twice with the same key takes effect once and has the same response both times, over
//! gRPC and REST.
//!
//! Every method with an audit rule and an authenticated caller accepts a key. The generated code handles it after the guard, on the
//! decoded message, so a replay discloses nothing that the guard would not allow. A key belongs to its caller, with the caller's
//! roles, and to the method; it identifies one message.
//!
//! The key is claimed by the first write of the call, in the same transaction ([`idempotent`]), so it is claimed exactly when the
//! call has an effect: a call that wrote nothing leaves nothing, and one that wrote is never repeated, whatever happened to its
//! response. The response is stored right after the call. Once its message is complete, a call runs in its own task, without the
//! caller's deadline: a deadline or a disconnect ends the wait, not the call.
//!
//! Within a process, calls with the same key wait for each other. Of two calls on different servers, the database lets one write,
//! and the other returns the response of the first.

mod fingerprint;
mod latches;
mod responses;

use std::{sync::Arc, time::Duration};

use http::Extensions;
use tokio::time::Instant;
use tonic::{Code, metadata::MetadataMap};
use transcoder::{
    MethodInfo,
    once::{Encoded, Once, Run, Running},
};

use self::{latches::Latches, responses::Responses};
use crate::{
    base::{Cx, Error, KeyedCall, Kind, Result, SentKey, TenantId, cx::CxFacts, error::Reason},
    store::{
        Sealer, Store,
        idempotent::{self, Known},
    },
};

/// How long a call waits for another one with the same key.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// How often it checks for the response of another server during that time.
const POLL: Duration = Duration::from_millis(50);
/// How long after its first write a call may still store its response.
const SETTLING: Duration = Duration::from_secs(30);

/// The state that calls with keys share, in the extensions of their requests. Cheap to clone.
#[derive(Clone)]
pub struct Idempotency(Arc<Shared>);

struct Shared {
    store: Store,
    responses: Responses,
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

/// A call with a key and a known message.
struct Begun {
    call: KeyedCall,
    /// The tenant whose data key seals the response.
    tenant: Option<TenantId>,
}

impl Idempotency {
    pub fn new(store: Store, sealer: Sealer) -> Self {
        let responses = Responses::new(store.clone(), sealer);
        Self(Arc::new(Shared { store, responses, latches: Latches::default() }))
    }
}

/// The handler of a request that was sent with a key; `None` without one.
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
                Ok(response) => response,
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
        // The context holds the permit of the call until here, so the load limit counts it.
        outcome.unwrap_or_else(|error| Err(transcoder::handler::Context::status(&self.cx, error)))
    }
}

impl Shared {
    /// Runs the call, unless one with its key took effect.
    async fn once(&self, begun: &Begun, call: Running<Encoded>) -> Result<Encoded> {
        // Before the call takes effect: a response that cannot be sealed would be lost.
        self.responses.check(begun).await?;
        let end = Instant::now() + MAX_WAIT;
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
                Known::Answered(sealed) => return self.responses.replay(begun, &sealed).await.map(Some),
                Known::Unanswered(age) if Instant::now() >= end => return Err(unanswered(age)),
                Known::Unanswered(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Stores the response if the call took effect, and returns what the caller gets.
    async fn settle(&self, begun: &Begun, response: Encoded) -> Result<Encoded> {
        if !begun.call.has_written() {
            // A write that failed may have been committed, or another server may have been faster; only the database knows.
            match self.recall(begun, Instant::now() + MAX_WAIT).await {
                Ok(Some(replay)) => return Ok(replay),
                Err(error) if matches!(error.kind, Kind::Aborted | Kind::AlreadyExists) => return Err(error),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "cannot look up the response of an idempotency key"),
            }
        }
        if response.as_ref().map_or_else(|status| begun.call.has_written() && !is_server_error(status.code()), |_| true)
        {
            self.responses.keep(begun, &response).await;
        }
        Ok(response)
    }
}

/// Whether a failure is an error of the server, after which the same call may succeed later.
fn is_server_error(code: Code) -> bool {
    transcoder::status_of(code).is_server_error()
}

fn reused() -> Error {
    Error::exists(Reason::IdempotencyKeyReused, "the Idempotency-Key was already used for a different request")
}

/// An older server ran a call with the key. The requests cannot be compared, and its response cannot be replayed.
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
    fn a_response_that_is_being_stored_differs_from_a_lost_one() {
        let settling = unanswered(time::Duration::SECOND);
        assert_eq!((settling.kind, settling.retry_after), (Kind::Aborted, Some(Duration::from_secs(1))));
        let lost = unanswered(time::Duration::seconds(30));
        assert!(lost.retry_after.is_none() && lost.to_string().contains("was not stored"), "{lost}");
    }

    #[test]
    fn a_server_error_is_not_stored() {
        for code in [Code::Internal, Code::Unknown, Code::Unavailable, Code::DeadlineExceeded, Code::DataLoss] {
            assert!(is_server_error(code), "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::Aborted, Code::NotFound, Code::FailedPrecondition] {
            assert!(!is_server_error(code), "{code:?}");
        }
    }
}
