//! The context of a call: the first argument of every operation.

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
    names::TenantRef,
    scope::{Access, CallTenant},
    seat::Seated,
    time_limit::TimeLimit,
};

/// The context of a call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cx(Arc<CxFacts>);

/// The contents of a context.
#[derive(Clone, Debug)]
pub struct CxFacts {
    pub caller: Caller,
    /// Why the credential was refused, on an RPC that needs none but takes that of a device or gateway. The caller is
    /// anonymous then.
    pub refused: Option<Arc<Error>>,
    /// Which tenants the call may access.
    pub access: Access,
    /// The tenant of the call; read it with [`Cx::tenant`].
    pub tenant: CallTenant,
    /// The request id, as in responses and the log.
    pub request_id: String,
    /// The gRPC path of the RPC, or the command.
    pub rpc: &'static str,
    /// Name of the audit action, if the RPC has one.
    pub audit_action: Option<&'static str>,
    /// The audit target of the request, if the rule has one.
    pub audit_target: Option<String>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The client's address; `None` if it is unknown, and for the program's own work.
    pub client: Option<IpAddr>,
    /// The address of the peer of the connection, possibly a proxy; `None` for the program's own work.
    pub peer: Option<IpAddr>,
    /// Whether cookies must be limited to TLS: unless the client is known to connect without it.
    pub secure: bool,
    /// The client's User-Agent, truncated.
    pub user_agent: Option<Arc<str>>,
    /// The call as its writes see it, if it was sent with an idempotency key.
    pub keyed: Option<KeyedCall>,
    /// The time limit of the server for the call; `None` for the program's own work.
    pub limit: Option<TimeLimit>,
    /// The call's slot among the calls in progress; `None` for the program's own work.
    pub seat: Option<Seated>,
    pub clock: Clock,
    /// Signals that the server is about to stop. Calls without an end of their own end then.
    pub drain: Drain,
}

impl Cx {
    pub fn new(facts: CxFacts) -> Self {
        Self(Arc::new(facts))
    }

    /// The context of the program's own work, named after a command or task.
    pub fn system(task: &'static str, clock: Clock) -> Self {
        Self::new(CxFacts {
            caller: Caller::system(),
            refused: None,
            access: Access::Platform,
            tenant: CallTenant::None,
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
            limit: None,
            seat: None,
            clock,
            drain: Drain::default(),
        })
    }

    /// The tenant of the call, by the rule of its RPC: the one that the request names, or the caller's own. Fails with
    /// INVALID_ARGUMENT if the request must name one, and as an internal error if the rule has no tenant.
    pub fn tenant(&self) -> Result<&TenantRef> {
        match &self.tenant {
            CallTenant::Known(tenant) => Ok(tenant),
            CallTenant::Missing(field) => Err(Error::missing_field(field)),
            CallTenant::None => Err(Error::internal("the rule of the call has no tenant")),
        }
    }

    /// The device or gateway that calls. On an RPC that needs no credential, fails with the error of the refused one, or
    /// because there is none.
    pub fn enrolled(&self) -> Result<&Caller> {
        match &self.refused {
            _ if self.caller.kind.is_enrolled() => Ok(&self.caller),
            Some(refused) => Err(refused.again()),
            None => Err(Error::unauthenticated(Reason::CredentialsMissing, "credentials are required")),
        }
    }

    /// The operation of the call, for metrics and the log: its audit action, or its RPC if it has none.
    pub fn operation(&self) -> &'static str {
        self.audit_action.unwrap_or(self.rpc)
    }

    /// The address for limits by address: the client's, or that of the proxy if the client's is unknown.
    pub fn counted_as(&self) -> Option<IpAddr> {
        self.client.or(self.peer)
    }

    /// Waits without occupying the call's slot. Fails with UNAVAILABLE if the wait succeeded but no slot is free
    /// afterwards. After an unsuccessful wait the call has no slot and can only return what it has, or an error.
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

    /// Moves the server's time limit by the time that the caller asked the call to wait.
    pub fn extend(&self, by: Duration) {
        if let Some(limit) = &self.limit {
            limit.extend(by);
        }
    }

    /// When the call ends, with what extended its limit; `None` if it may take any time.
    pub fn ends_at(&self) -> Option<Instant> {
        let deadline = self.deadline?;
        Some(self.limit.as_ref().map_or(deadline, TimeLimit::at))
    }

    /// Waits before a refusal, which needs no slot afterwards.
    pub async fn rest(&self, time: Duration) {
        if let Some(Seated(seat)) = &self.seat {
            seat.leave();
        }
        tokio::time::sleep(time).await;
    }

    /// The context that the guard left in the extensions of a request. Without it no guard ran, and the call fails.
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
