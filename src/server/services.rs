//! The services of the server: gRPC with reflection and health, gRPC-Web, REST, and the operational paths.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use http::{Request, Response, header::ACCEPT_ENCODING};
use tower::{Layer, Service};
use transcoder::{
    Dialects, Guard, Rest, RestBuilder,
    compress::Compressed,
    grpc::{self, Admit, AdmitLayer},
};

use super::{
    grpc::{Door, Standard, Terms},
    ops::Ops,
    stream_end::{StreamEnd, StreamEndLayer},
};
use crate::{
    api::{self, Deps, controlplane::Stub, idempotency::Idempotency},
    base::SentKey,
};

/// REST responses of more bytes than this are compressed if the client accepts it.
const COMPRESSED_ABOVE: u64 = 1024;

/// Every service behind one entry point. Cheap to clone, and always ready.
#[derive(Clone)]
pub struct Dispatch(Arc<Services>);

struct Services {
    grpc: Door<Admit<StreamEnd<grpc::Services>>>,
    rest: Rest,
    idempotency: Idempotency,
    stub: Option<Stub>,
    ops: Ops,
}

/// The configuration around the services.
pub struct Around {
    pub guard: Arc<dyn Guard>,
    /// The formats of REST errors.
    pub dialects: Dialects,
    /// Maximum size of a REST body and of a gRPC message, in bytes.
    pub max_body: usize,
}

/// Assembles every service. `standard` are those of every gRPC server.
pub fn assemble(deps: &Deps, around: &Around, standard: Standard, ops: Ops) -> Dispatch {
    let Around { guard, dialects, max_body } = around;
    let mut grpc: Vec<_> = standard.services.into();
    let mut rest = RestBuilder::new(dialects.clone()).max_body(*max_body).with_facts();
    let mut methods = Vec::new();
    for service in api::services(deps) {
        let service = service.serve(guard.clone(), *max_body);
        grpc.push((service.name, service.grpc));
        rest = rest.routes(service.routes);
        methods.extend(service.methods);
    }
    // First the guard's first step, before a body is read; then the end of unlimited streams.
    let grpc = AdmitLayer::new(methods, guard.clone()).layer(StreamEndLayer.layer(grpc::Services::new(grpc)));
    let terms = Terms { limit: *max_body, details: true };
    let grpc = Door::new(grpc, standard.methods, terms);
    let rest = rest.build(guard.clone());
    let idempotency = Idempotency::new(deps.store.clone(), deps.sealer.clone());
    Dispatch(Arc::new(Services { grpc, rest, idempotency, stub: Stub::of(deps, guard, dialects), ops }))
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Self(services) = self;
        if let Some(key) = SentKey::of(request.headers()) {
            request.extensions_mut().insert(key);
            request.extensions_mut().insert(services.idempotency.clone());
        }
        if services.grpc.is_for(&request) {
            return services.grpc.clone().call(request);
        }
        if super::ops::is_ops(request.uri().path()) {
            let ops = services.ops.clone();
            let (head, _) = request.into_parts();
            return Box::pin(async move { Ok(ops.answer(&head).await) });
        }
        if let Some(stub) = services.stub.as_ref().filter(|_| Stub::covers(request.uri().path())) {
            return Box::pin(std::future::ready(Ok(stub.respond(request))));
        }
        if !request.headers().contains_key(ACCEPT_ENCODING) {
            let answer = services.rest.clone().call(request);
            return Box::pin(async move { answer.await.map(|response| response.map(Body::new)) });
        }
        let answer = Compressed::new(services.rest.clone(), COMPRESSED_ABOVE).call(request);
        Box::pin(async move { answer.await.map(|response| response.map(Body::new)) })
    }
}
