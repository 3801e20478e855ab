//! A panic is limited to one call: it becomes a response, and the connection continues.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

use axum::body::Body;
use futures::FutureExt;
use http::{Request, Response};
use transcoder::{Dialects, RequestId};

use super::answer::{Failure, Head, answer};
use crate::base::{
    Error, GrpcForm,
    panics::{count, text},
};

/// Runs a call. The message of a panic goes only to the log.
///
/// No `async fn`, which would have room for the call twice.
pub(super) fn catch<T>(call: impl Future<Output = Result<T, Failure>>) -> impl Future<Output = Result<T, Failure>> {
    // A call that panicked is dropped completely, so no inconsistent state is visible.
    AssertUnwindSafe(call).catch_unwind().map(|done| {
        done.unwrap_or_else(|panic| {
            count(panic.as_ref());
            Err(failure(panic.as_ref()))
        })
    })
}

fn failure(panic: &(dyn Any + Send)) -> Failure {
    Failure::Call(Error::internal(format!("panic: {}", text(panic))))
}

/// The properties of a request that are kept in case a layer outside of [`catch`] panics.
pub(super) struct Spare {
    uri: http::Uri,
    grpc: Option<GrpcForm>,
    is_head: bool,
}

impl Spare {
    /// Does not allocate.
    pub(super) fn of(request: &Request<Body>) -> Self {
        let headers = request.headers();
        Self {
            uri: request.uri().clone(),
            grpc: GrpcForm::of(headers).map(|form| form.of_answer(headers)),
            is_head: request.method() == http::Method::HEAD,
        }
    }

    /// Runs the layers. `refuse` writes the response if they panic; it has neither their log line nor their headers. No
    /// `async fn`, as [`catch`].
    pub(super) fn run(
        self,
        layers: impl Future<Output = Response<Body>>,
        refuse: impl FnOnce(&Head, Failure) -> Response<Body>,
    ) -> impl Future<Output = Response<Body>> {
        AssertUnwindSafe(layers)
            .catch_unwind()
            .map(|done| done.unwrap_or_else(|panic| self.refuse(panic.as_ref(), refuse)))
    }

    fn refuse(self, panic: &(dyn Any + Send), refuse: impl FnOnce(&Head, Failure) -> Response<Body>) -> Response<Body> {
        count(panic);
        tracing::error!(panic = text(panic), "a layer panicked");
        let request_id = RequestId(uuid::Uuid::now_v7().simple().to_string());
        let (path, is_head) = (self.uri.path().to_owned(), self.is_head);
        let head = Head { path, grpc: self.grpc, request_id, is_head };
        let written = catch_unwind(AssertUnwindSafe(|| refuse(&head, failure(panic))));
        // If the dialect itself panics, the response uses none.
        written.unwrap_or_else(|again| answer(&Dialects::default(), &head, failure(again.as_ref())))
    }
}
