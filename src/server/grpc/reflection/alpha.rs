//! `grpc.reflection.v1alpha`: the older name, which many tools still use. Its messages are the same bytes as those of
//! v1, so a call is forwarded to v1 with another path.

use std::task::{Context, Poll};

use http::{Request, Uri, uri::PathAndQuery};
use tonic::{body::Body, server::NamedService};
use tower::Service;

/// The only method of v1.
const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// The v1 service with its older name.
#[derive(Clone)]
pub(in crate::server::grpc) struct Alpha<S>(pub(super) S);

impl<S> NamedService for Alpha<S> {
    const NAME: &'static str = "grpc.reflection.v1alpha.ServerReflection";
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Alpha<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        // The protocol was checked before: there is no other method than this one.
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static(V1));
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static(V1));
        self.0.call(request)
    }
}
