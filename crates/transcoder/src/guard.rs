//! The two steps of authorization that generated code calls around every RPC.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tonic::Status;

use crate::{Claim, MethodInfo};

/// Decides who may call what. For gRPC and REST alike, the transcoder calls [`admit`](Guard::admit) before it reads the
/// body, and [`enter`](Guard::enter) with the decoded message.
pub trait Guard: Send + Sync + 'static {
    /// Checks the caller and the permission, knowing only the method. May store what it finds in the extensions.
    fn admit(&self, method: &'static MethodInfo, extensions: &mut http::Extensions) -> Result<(), Status>;

    /// Checks the tenant, knowing the decoded message. May store what it finds in the extensions of the request.
    fn enter<'a>(
        &'a self,
        method: &'static MethodInfo,
        claim: Claim<'a>,
        extensions: &'a mut http::Extensions,
    ) -> Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>>;
}

/// A guard that admits all callers, for services that are public or have another guard.
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

/// The future of a guard that does not wait. It is zero-sized, so that boxing it does not allocate.
struct Entered;

impl Future for Entered {
    type Output = Result<(), Status>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}
