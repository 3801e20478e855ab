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
//! Calls with the same key wait for each other within a process. Of two on different servers, the database lets one write, and
//! the other returns the response of the first.

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

use self::{latches::Latches, responses::ResponseStore};
use crate::{
    base::{Cx, Error, KeyedCall, Kind, Result, SentKey, TenantId, cx::CxFacts, error::Reason},
    store::{
        Sealer, Store,
        idempotent::{self, Known},
    },
};

/// How long a call waits for another one with the same key.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// How often it looks for the response of another server in the meantime.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long after its first write a call may still be storing its response.
const SETTLE_TIME: Duration = Duration::from_secs(30);

/// The state that calls with keys share, in the extensions of their requests. Cheap to clone.
#[derive(Clone)]
pub struct Idempotency(Arc<Shared>);

struct Shared {
    store: Store,
    responses: ResponseStore,
    latches: Latches,
}

/// A call that was sent with a key.
struct PendingCall {
    shared: Idempotency,
    method: &'static MethodInfo,
    key: String,
    /// The conditions of the request (RFC 9110, section 13).
    conditions: String,
    cx: Cx,
}

/// A call with a key, once its message is known.
struct IdentifiedCall {
    call: KeyedCall,
    /// The tenant whose data key seals the response.
    tenant: Option<TenantId>,
}

impl Idempotency {
    /// Of a store.
    pub fn new(store: Store, sealer: Sealer) -> Self {
        let responses = ResponseStore::new(store.clone(), sealer);
        Self(Arc::new(Shared { store, responses, latches: Latches::default() }))
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
    Some(Box::new(PendingCall { shared, method, key, conditions, cx: cx.clone() }))
}

impl Once<Cx> for PendingCall {
    fn answer(self: Box<Self>, request: Vec<u8>, run: Run<Cx>) -> Running<Encoded> {
        Box::pin(async move {
            // Dropping this future only ends the wait.
            match self.shared.0.store.clone().see_through(self.execute(request, run)).await {
                Ok(response) => response,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(error) => Err(Error::internal(error).to_status()),
            }
        })
    }
}

impl PendingCall {
    async fn execute(self, request: Vec<u8>, run: Run<Cx>) -> Encoded {
        let identified = fingerprint::identify(&self.cx.caller, self.method, &self.key, &self.conditions, &request);
        let cx = CxFacts { keyed: Some(identified.call.clone()), deadline: None, ..CxFacts::clone(&self.cx) };
        let outcome = self.shared.0.execute_once(&identified, run(Cx::new(cx))).await;
        // Holding the context until here keeps the permit of the call, so the load limit counts it.
        outcome.unwrap_or_else(|error| Err(transcoder::handler::Context::status(&self.cx, error)))
    }
}

impl Shared {
    /// Makes the call, unless one with its key took effect.
    async fn execute_once(&self, identified: &IdentifiedCall, call: Running<Encoded>) -> Result<Encoded> {
        // First of all: a response that could not be sealed would be lost.
        self.responses.check(identified).await?;
        let end = Instant::now() + MAX_WAIT;
        let _latch = self.latches.enter(identified.call.id(), end).await.ok_or_else(in_progress)?;
        match self.stored_response(identified, end).await? {
            Some(replay) => Ok(replay),
            None => self.settle(identified, call.await).await,
        }
    }

    /// The response of a call that took effect with the key; `None` if there was none.
    async fn stored_response(&self, identified: &IdentifiedCall, end: Instant) -> Result<Option<Encoded>> {
        loop {
            match idempotent::look(&self.store, &identified.call).await? {
                Known::Nothing => return Ok(None),
                Known::Other => return Err(reused()),
                Known::Older => return Err(older_server()),
                Known::Answered(sealed) => return self.responses.replay(identified, &sealed).await.map(Some),
                Known::Unanswered(age) if Instant::now() >= end => return Err(unanswered(age)),
                Known::Unanswered(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Stores the response if the call took effect, and returns what the caller gets.
    async fn settle(&self, identified: &IdentifiedCall, response: Encoded) -> Result<Encoded> {
        if !identified.call.has_written() {
            // A write that failed may have been committed, and another server may have been first: the database knows.
            match self.stored_response(identified, Instant::now() + MAX_WAIT).await {
                Ok(Some(replay)) => return Ok(replay),
                Err(error) if matches!(error.kind, Kind::Aborted | Kind::AlreadyExists) => return Err(error),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "cannot look for another response under an idempotency key"),
            }
        }
        if response
            .as_ref()
            .map_or_else(|status| identified.call.has_written() && !is_server_failure(status.code()), |_| true)
        {
            self.responses.save(identified, &response).await;
        }
        Ok(response)
    }
}

/// Whether a failure is the server's, so that the same call may succeed later.
fn is_server_failure(code: Code) -> bool {
    transcoder::status_of(code).is_server_error()
}

fn reused() -> Error {
    Error::exists(Reason::IdempotencyKeyReused, "the Idempotency-Key was already used for a different request")
}

/// An older server made a call with the key. Neither can the requests be compared nor its response replayed.
fn older_server() -> Error {
    let text = "a request with this Idempotency-Key took effect on a server of an earlier version; check the resource \
                before retrying with a new key";
    Error::new(Kind::Aborted, Reason::IdempotentAnswerLost, text)
}

fn in_progress() -> Error {
    let text = "a request with this Idempotency-Key is in progress; retry later";
    Error::new(Kind::Aborted, Reason::IdempotentCallBegun, text).retry_after(Duration::from_secs(1))
}

/// A call took effect this long ago, and its response is not stored.
fn unanswered(age: time::Duration) -> Error {
    if age < SETTLE_TIME {
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
    fn a_response_that_may_still_come_differs_from_a_lost_one() {
        let settling = unanswered(time::Duration::SECOND);
        assert_eq!((settling.kind, settling.retry_after), (Kind::Aborted, Some(Duration::from_secs(1))));
        let lost = unanswered(time::Duration::seconds(30));
        assert!(lost.retry_after.is_none() && lost.to_string().contains("was not stored"), "{lost}");
    }

    #[test]
    fn a_failure_of_the_server_is_not_kept() {
        for code in [Code::Internal, Code::Unknown, Code::Unavailable, Code::DeadlineExceeded, Code::DataLoss] {
            assert!(is_server_failure(code), "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::Aborted, Code::NotFound, Code::FailedPrecondition] {
            assert!(!is_server_failure(code), "{code:?}");
        }
    }
}
