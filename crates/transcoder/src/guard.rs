//! The two steps of authorization that generated code calls around every RPC.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tonic::Status;

use crate::MethodInfo;

/// Decides who may call what. The transcoder calls [`admit`](Guard::admit) before a body is read, and
/// [`enter`](Guard::enter) on the decoded message, for gRPC and REST alike.
pub trait Guard: Send + Sync + 'static {
    /// By method alone: the caller and its permission. May leave what it learnt in the extensions.
    fn admit(&self, method: &'static MethodInfo, extensions: &mut http::Extensions) -> Result<(), Status>;

    /// On the decoded message: the tenant. May leave what it learnt in the extensions of the request.
    fn enter<'a>(
        &'a self,
        method: &'static MethodInfo,
        claim: Claim<'a>,
        extensions: &'a mut http::Extensions,
    ) -> Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>>;
}

/// What the decoded message says that the guard needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim<'a> {
    /// Value of the field that names the tenant, where the rule has one. `Some("")` if the caller left it empty.
    pub tenant: Option<&'a str>,
    /// Name of the action, where the method has several. `Some("")` if the request asks for none that is listed.
    pub action: Option<&'a str>,
    /// Value of the field that names the audit target, where the rule has one.
    pub target: Option<&'a str>,
}

/// A guard that admits everybody, for services that are public or are guarded elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Guard for Open {
    fn admit(&self, _: &'static MethodInfo, _: &mut http::Extensions) -> Result<(), Status> {
        Ok(())
    }

    fn enter<'a>(
        &'a self,
        _: &'static MethodInfo,
        _: Claim<'a>,
        _: &'a mut http::Extensions,
    ) -> Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>> {
        Box::pin(Entered)
    }
}

/// The future of a guard that need not wait. It has no size, so that the box of it takes no memory.
struct Entered;

impl Future for Entered {
    type Output = Result<(), Status>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}
