//! The services of the server: gRPC with reflection and health, gRPC-Web, REST, and the operational paths.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use http::{
    Request, Response,
    header::{ACCEPT_ENCODING, CONTENT_TYPE},
};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{Service, service_fn, util::MapResponseLayer};
use transcoder::{Dialects, RestBuilder, compress::Compressed, grpc::AdmitLayer};

use super::{
    layers::Idempotent,
    malformed,
    ops::Ops,
    stream_end::StreamEndLayer,
    surfaces::{self, GrpcService, Parts},
};
use crate::{api::controlplane::Stub, auth::request::is_grpc, base::Error, proto};

/// Answers of REST above so many bytes are compressed for those who accept that.
const COMPRESSED_ABOVE: u64 = 1024;

/// Every service behind one door. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    grpc: axum::Router,
    rest: Idempotent,
    stub: Option<Stub>,
    ops: Ops,
}

/// The names of our services, for health.
pub fn service_names() -> Result<Vec<String>, Error> {
    let set = FileDescriptorSet::decode(proto::DESCRIPTORS).map_err(Error::internal)?;
    let names = set
        .file
        .iter()
        .flat_map(|file| file.service.iter().map(|service| format!("{}.{}", file.package(), service.name())));
    Ok(names.collect())
}

/// The REST error dialects of all surfaces.
pub fn dialects() -> Dialects {
    surfaces::dialects()
}

/// Assembles every service. `health` is the service of `grpc.health.v1`.
pub fn assemble(parts: &Parts, health: impl GrpcService, ops: Ops) -> Result<Front, Error> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(Error::internal)?;
    let routes = Routes::new(reflection).add_service(health);
    let rest = RestBuilder::new(parts.dialects.clone()).max_body(parts.max_body).with_facts();
    let surfaces = surfaces::add(routes, rest, parts);
    // From the outside in: what decoders say is put in our words, gRPC-Web becomes gRPC, then the guard's first step,
    // before a body is read, and the end of streams that have none.
    let grpc = surfaces.grpc.into_axum_router().layer((
        MapResponseLayer::new(malformed::reword),
        GrpcWebLayer::new(),
        AdmitLayer::new(surfaces.methods, parts.guard.clone()),
        StreamEndLayer(parts.drain.clone()),
        MapResponseLayer::new(|response: Response<Body>| response.map(tonic::body::Body::new)),
    ));
    let rest = surfaces.rest.build(parts.guard.clone());
    let vault = parts.sessions.people().vault.clone();
    let rest = Idempotent::new(rest, parts.store.clone(), vault, parts.dialects.clone(), parts.max_body);
    Ok(Front { grpc, rest, stub: surfaces.stub, ops })
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
        if request.headers().get(CONTENT_TYPE).is_some_and(is_grpc) {
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
