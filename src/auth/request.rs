//! What the layers before authentication leave in the extensions of a request.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, header::USER_AGENT, request::Parts, uri::Authority};
use transcoder::MethodInfo;

use crate::base::{Caller, GrpcForm};

/// Who is at the other end of a call, as far as it is to be believed: what the connection tells, and what a trusted
/// proxy tells of the connection before its own.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The client's address; `None` if a proxy stands before it that does not tell. Such a client is in no network.
    pub address: Option<IpAddr>,
    /// The address at the other end of the connection: the client's, or that of a proxy.
    pub peer: IpAddr,
    /// Whether the client speaks TLS; `None` if a proxy stands before it that does not tell.
    pub secure: Option<bool>,
    /// The host, with the port where one was given, that the client called; `None` if it named none, or several, or if
    /// proxies tell what is no host.
    pub host: Option<Authority>,
    /// Whether the client is a program on this machine, and no proxy speaks for another one.
    pub local: bool,
    /// What the client says that it is, cut to a bounded length.
    pub user_agent: Option<Arc<str>>,
}

impl ClientInfo {
    /// Longest user agent that is kept, in bytes.
    const MAX_USER_AGENT: usize = 256;

    /// The user agent that the headers tell, as far as it is kept.
    pub fn user_agent(headers: &HeaderMap) -> Option<Arc<str>> {
        let text = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
        Some(text[..text.floor_char_boundary(Self::MAX_USER_AGENT)].into())
    }

    /// Whether cookies and pages of the client are those of TLS: unless it is known to speak without.
    pub fn needs_tls(&self) -> bool {
        self.secure != Some(false)
    }
}

/// Whether a call is one of REST, by its path and by its content type.
pub(super) fn is_rest(call: &Parts) -> bool {
    !call.uri.path().starts_with("/tenantry.") && GrpcForm::of(&call.headers).is_none()
}

/// What the guard learns of a call, for the access log and the metrics that stand outside it. Clones share the facts.
#[derive(Clone, Debug, Default)]
pub struct CallFacts(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    method: OnceLock<&'static MethodInfo>,
    tenant: OnceLock<String>,
    caller: OnceLock<Caller>,
}

impl CallFacts {
    /// Longest tenant that is kept, in bytes: what the caller wrote may be of any length.
    const MAX_TENANT: usize = 128;

    /// The RPC that the call reached.
    pub fn method(&self) -> Option<&'static MethodInfo> {
        self.0.method.get().copied()
    }

    /// The tenant that the call is about, as the caller wrote it.
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.get().map(String::as_str)
    }

    /// Who calls, where a good credential came with the call.
    pub fn caller(&self) -> Option<&Caller> {
        self.0.caller.get()
    }

    /// Notes who calls.
    pub fn set_caller(&self, caller: &Caller) {
        let _ = self.0.caller.set(caller.clone());
    }

    pub(super) fn set_method(&self, method: &'static MethodInfo) {
        // The first fact stays: a call reaches one RPC.
        let _ = self.0.method.set(method);
    }

    pub(super) fn set_tenant(&self, tenant: &str) {
        let end = tenant.floor_char_boundary(Self::MAX_TENANT);
        let _ = self.0.tenant.set(tenant[..end].to_owned());
    }
}
