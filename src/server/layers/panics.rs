//! A panic is our failure and one call's: it becomes an answer, and the connection goes on.

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

/// Runs a call. What the panic said goes to the log alone.
pub(super) async fn catch<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // A call that panicked is dropped whole, so nobody sees what it left half done.
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        count(panic.as_ref());
        Err(failure(panic.as_ref()))
    })
}

fn failure(panic: &(dyn Any + Send)) -> Failure {
    Failure::Call(Error::internal(format!("panic: {}", text(panic))))
}

/// What is kept of a request in case that a layer panics which stands outside of [`catch`].
pub(super) struct Spare {
    uri: http::Uri,
    grpc: Option<GrpcForm>,
    is_head: bool,
}

impl Spare {
    /// Of a request. Costs no allocation.
    pub(super) fn of(request: &Request<Body>) -> Self {
        let headers = request.headers();
        Self {
            uri: request.uri().clone(),
            grpc: GrpcForm::of(headers).map(|form| form.of_answer(headers)),
            is_head: request.method() == http::Method::HEAD,
        }
    }

    /// Runs the layers; `refuse` writes the answer where they panic, which has neither their log line nor their headers.
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
            // Where it is the dialect that panics, the answer has none.
            written.unwrap_or_else(|again| answer(&Dialects::default(), &head, failure(again.as_ref())))
        })
    }
}
