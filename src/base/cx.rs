//! The context of a call: the first argument of every verb.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    caller::Caller,
    clock::Clock,
    drain::Drain,
    error::{Error, Kind, Reason, Result},
    keyed_call::KeyedCall,
    scope::Access,
    seat::Seated,
};

/// The context of a call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cx(Arc<CxFacts>);

/// What a context holds.
#[derive(Clone, Debug)]
pub struct CxFacts {
    /// Who calls.
    pub caller: Caller,
    /// How far the call may reach.
    pub access: Access,
    /// Id of the request, as answers and the log show it.
    pub request_id: String,
    /// The gRPC path of the RPC, or the command that runs.
    pub rpc: &'static str,
    /// Name of the audit action, where the RPC has one.
    pub audit_action: Option<&'static str>,
    /// The audit target that the request names, where the rule has one.
    pub audit_target: Option<String>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The address that the call came from; none if it is not known, and for the program's own work.
    pub client: Option<IpAddr>,
    /// The address at the other end of the connection, which may be that of a proxy; none for the program's own work.
    pub peer: Option<IpAddr>,
    /// Whether what the answer leaves with the client is for TLS alone: unless it is known to speak without.
    pub secure: bool,
    /// What the client says that it is, cut to a bounded length.
    pub user_agent: Option<Arc<str>>,
    /// The idempotency key that the call came under.
    pub keyed: Option<KeyedCall>,
    /// The place of the call among those that are worked on; none for the program's own work.
    pub seat: Option<Seated>,
    /// The clock.
    pub clock: Clock,
    /// Tells when the server is about to stop. A call that has no end of its own ends then.
    pub drain: Drain,
}

impl Cx {
    /// A context of these facts.
    pub fn new(facts: CxFacts) -> Self {
        Self(Arc::new(facts))
    }

    /// The context of the program's own work, under the name of a command or task.
    pub fn system(task: &'static str, clock: Clock) -> Self {
        Self::new(CxFacts {
            caller: Caller::system(),
            access: Access::Platform,
            request_id: String::new(),
            rpc: task,
            audit_action: Some(task),
            audit_target: None,
            deadline: None,
            client: None,
            peer: None,
            secure: false,
            user_agent: None,
            keyed: None,
            seat: None,
            clock,
            drain: Drain::default(),
        })
    }

    /// What the call does, for metrics and the log: its audit action or, without one, its RPC.
    pub fn operation(&self) -> &'static str {
        self.audit_action.unwrap_or(self.rpc)
    }

    /// The address by which the caller is counted: the client's, or that of the proxy which does not tell it.
    pub fn counted_as(&self) -> Option<IpAddr> {
        self.client.or(self.peer)
    }

    /// Waits for something without the place of the call, so that it takes none from others. Fails with UNAVAILABLE if it
    /// came and there is no place any more. If it did not come the call has none: it has only to say so.
    pub async fn aside<T>(&self, waiting: impl Future<Output = Option<T>>) -> Result<Option<T>> {
        let seat = self.seat.as_ref().map(|Seated(seat)| seat);
        if let Some(seat) = seat {
            seat.leave();
        }
        let came = waiting.await;
        if came.is_none() || seat.is_none_or(|seat| seat.take()) {
            return Ok(came);
        }
        let message = "the server is overloaded; retry later";
        Err(Error::new(Kind::Unavailable, Reason::Overloaded, message))
    }

    /// Waits before a refusal, which needs no place any more.
    pub async fn rest(&self, time: Duration) {
        if let Some(Seated(seat)) = &self.seat {
            seat.leave();
        }
        tokio::time::sleep(time).await;
    }

    /// The context that the guard left in the extensions of a request. Its absence means that no guard stood before
    /// the service, and nothing runs then.
    pub fn of(extensions: &http::Extensions) -> Result<Self> {
        extensions.get::<Self>().cloned().ok_or_else(|| Error::internal("the guard did not run"))
    }
}

impl std::ops::Deref for Cx {
    type Target = CxFacts;

    fn deref(&self) -> &CxFacts {
        &self.0
    }
}
