//! The services of the server: gRPC with reflection and health, gRPC-Web, REST, and the operational paths.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use http::{Request, Response, header::ACCEPT_ENCODING};
use tower::{Service, service_fn, util::MapResponseLayer};
use transcoder::{Dialects, RestBuilder, compress::Compressed, grpc::AdmitLayer};

use super::{
    grpc::{Door, Standard, Terms},
    layers::Idempotent,
    ops::Ops,
    stream_end::StreamEndLayer,
    surfaces::{self, Parts},
};
use crate::api::controlplane::Stub;

/// Answers of REST above so many bytes are compressed for those who accept that.
const COMPRESSED_ABOVE: u64 = 1024;

/// Every service behind one door. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    grpc: Door,
    rest: Idempotent,
    stub: Option<Stub>,
    ops: Ops,
}

/// The REST error dialects of all surfaces.
pub fn dialects() -> Dialects {
    surfaces::dialects()
}

/// Assembles every service. `standard` are those that every gRPC server has.
pub fn assemble(parts: &Parts, standard: Standard, ops: Ops) -> Front {
    let rest = RestBuilder::new(parts.dialects.clone()).max_body(parts.max_body).with_facts();
    let surfaces = surfaces::add(standard.routes, rest, parts);
    // The guard's first step, before a body is read; then the end of streams that have none.
    let grpc = surfaces.grpc.into_axum_router().layer((
        AdmitLayer::new(surfaces.methods, parts.guard.clone()),
        StreamEndLayer,
        MapResponseLayer::new(|response: Response<Body>| response.map(tonic::body::Body::new)),
    ));
    let terms = Terms { limit: parts.max_body, details: true };
    let grpc = Door::new(grpc, standard.methods, terms);
    let rest = surfaces.rest.build(parts.guard.clone());
    let vault = parts.sessions.people().vault.clone();
    let rest = Idempotent::new(rest, parts.store.clone(), vault, parts.dialects.clone(), parts.max_body);
    Front { grpc, rest, stub: surfaces.stub, ops }
}

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // All three are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.grpc.is_for(&request) {
            return Box::pin(self.grpc.call(request));
        }
        if super::ops::is_ops(request.uri().path()) {
            let ops = self.ops.clone();
            let (head, _) = request.into_parts();
            return Box::pin(async move { Ok(ops.answer(&head).await) });
        }
        if let Some(stub) = self.stub.as_ref().filter(|_| Stub::covers(request.uri().path())) {
            return Box::pin(std::future::ready(Ok(stub.answer(request))));
        }
        let rest = self.rest.clone();
        if !request.headers().contains_key(ACCEPT_ENCODING) {
            return Box::pin(async move { Ok(rest.call(request).await) });
        }
        let rest = service_fn(move |request| {
            let rest = rest.clone();
            async move { Ok::<_, Infallible>(rest.call(request).await) }
        });
        let answer = Compressed::new(rest, COMPRESSED_ABOVE).call(request);
        Box::pin(async move { answer.await.map(|response| response.map(Body::new)) })
    }
}
