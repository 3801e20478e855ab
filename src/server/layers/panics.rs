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
pub(super) async fn catch<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // A call that panicked is dropped completely, so no inconsistent state is visible.
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        count(panic.as_ref());
        Err(failure(panic.as_ref()))
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

    /// Runs the layers. `refuse` writes the response if they panic; it has neither their log line nor their headers.
    pub(super) async fn run(
        self,
        layers: impl Future<Output = Response<Body>>,
        refuse: impl FnOnce(&Head, Failure) -> Response<Body>,
    ) -> Response<Body> {
        AssertUnwindSafe(layers).catch_unwind().await.unwrap_or_else(|panic| {
            count(panic.as_ref());
            tracing::error!(panic = text(panic.as_ref()), "a layer panicked");
            let request_id = RequestId(uuid::Uuid::now_v7().simple().to_string());
            let (path, is_head) = (self.uri.path().to_owned(), self.is_head);
            let head = Head { path, grpc: self.grpc, request_id, is_head };
            let written = catch_unwind(AssertUnwindSafe(|| refuse(&head, failure(panic.as_ref()))));
            // If the dialect itself panics, the response uses none.
            written.unwrap_or_else(|again| answer(&Dialects::default(), &head, failure(again.as_ref())))
        })
    }
}
