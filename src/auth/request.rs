//! Extensions that the layers before authentication add to a request.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, header::USER_AGENT, request::Parts, uri::Authority};
use transcoder::MethodInfo;

use crate::base::{Caller, GrpcForm};

/// The client of a call: what is known from the connection, and what a trusted proxy reports of the client's
/// connection.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// `None` behind a proxy that does not forward it. Such a client is in no network.
    pub address: Option<IpAddr>,
    /// The remote address of the connection: the client's, or a proxy's.
    pub peer: IpAddr,
    /// Whether the client uses TLS; `None` behind a proxy that does not report it.
    pub secure: Option<bool>,
    /// The requested host, with a port if the client gave one; `None` if there is none or more than one, or if a
    /// proxy reports an invalid one.
    pub host: Option<Authority>,
    /// Whether the client is a program on this machine that is not a proxy for another client.
    pub local: bool,
    /// The `User-Agent` header, truncated.
    pub user_agent: Option<Arc<str>>,
}

impl ClientInfo {
    /// In bytes.
    const MAX_USER_AGENT: usize = 256;

    /// Reads and truncates the user agent.
    pub fn user_agent(headers: &HeaderMap) -> Option<Arc<str>> {
        let text = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
        Some(text[..text.floor_char_boundary(Self::MAX_USER_AGENT)].into())
    }

    /// Whether to assume TLS for cookies and origins: unless the client is known not to use it.
    pub fn needs_tls(&self) -> bool {
        self.secure != Some(false)
    }
}

/// Whether a call is a REST call, by its path and its content type.
pub(super) fn is_rest(call: &Parts) -> bool {
    !call.uri.path().starts_with("/tenantry.") && GrpcForm::of(&call.headers).is_none()
}

/// Facts that the guard learns about a call, for the access log and the metrics, which are outside of it.
/// Clones share the facts.
#[derive(Clone, Debug, Default)]
pub struct CallFacts(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    method: OnceLock<&'static MethodInfo>,
    tenant: OnceLock<String>,
    caller: OnceLock<Caller>,
}

impl CallFacts {
    /// Maximum length of a stored tenant, in bytes: the caller's text can have any length.
    const MAX_TENANT: usize = 128;

    pub fn method(&self) -> Option<&'static MethodInfo> {
        self.0.method.get().copied()
    }

    /// The tenant of the call, as the caller wrote it, or the folded name of the caller's own if the call is on that one.
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.get().map(String::as_str)
    }

    /// The caller, if the call has a valid credential.
    pub fn caller(&self) -> Option<&Caller> {
        self.0.caller.get()
    }

    pub fn set_caller(&self, caller: &Caller) {
        let _ = self.0.caller.set(caller.clone());
    }

    pub(super) fn set_method(&self, method: &'static MethodInfo) {
        // Only the first value is kept: a call reaches one RPC.
        let _ = self.0.method.set(method);
    }

    pub(super) fn set_tenant(&self, tenant: &str) {
        let end = tenant.floor_char_boundary(Self::MAX_TENANT);
        let _ = self.0.tenant.set(tenant[..end].to_owned());
    }
}
