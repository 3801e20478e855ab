//! What the layers before authentication leave in the extensions of a request.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use transcoder::MethodInfo;

use crate::base::Caller;

/// When the caller stops waiting, and with it the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

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
