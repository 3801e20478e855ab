//! Wiring, a file a surface: which services it has and which dialect its errors speak.

mod controlplane;
mod manager;
mod messaging;
mod unserved;
mod warehouse;
mod zerotrust;

use std::{convert::Infallible, sync::Arc};

use axum::response::IntoResponse;
use http::Request;
use tonic::{server::NamedService, service::Routes};
use tower::Service;
use transcoder::{Aip193, Dialects, Guard, MethodInfo, RestBuilder, rest::Route};

use crate::{
    api::controlplane::Stub,
    auth::Sessions,
    base::{Drain, error::DOMAIN},
    messaging::MessagingSettings,
    store::{Store, Vault},
    tenants::MultitenancySettings,
    warehouse::EdgeAddress,
};

/// What the services of the areas are made of.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Seals secrets.
    pub vault: Vault,
    /// Begins and ends sessions; knows the people.
    pub sessions: Sessions,
    /// Most tenants in the registry; `None` is no limit.
    pub max_tenants: Option<u64>,
    /// Settings of the control-plane surface.
    pub multitenancy: MultitenancySettings,
    /// Settings of the messaging surface.
    pub messaging: MessagingSettings,
    /// Where clients of the warehouse send their queries.
    pub warehouse_edge: EdgeAddress,
    /// Decides who may call what.
    pub guard: Arc<dyn Guard>,
    /// How REST errors are written.
    pub dialects: Dialects,
    /// Longest body of a REST request, and longest message on gRPC, in bytes.
    pub max_body: usize,
    /// Tells streams that have no end of their own when to end.
    pub drain: Drain,
}

/// The services of the surfaces, as they are collected.
pub(super) struct Surfaces {
    /// gRPC.
    pub grpc: Routes,
    /// REST.
    pub rest: RestBuilder,
    /// The methods that the guard asks before a body is read.
    pub methods: Vec<&'static MethodInfo>,
    /// What answers in place of the control-plane surface, where the license does not cover it.
    pub stub: Option<Stub>,
    guard: Arc<dyn Guard>,
}

/// Adds the services of every surface.
pub(super) fn add(grpc: Routes, rest: RestBuilder, parts: &Parts) -> Surfaces {
    let none = Surfaces { grpc, rest, methods: Vec::new(), stub: None, guard: parts.guard.clone() };
    let surfaces = controlplane::add(none, parts);
    let surfaces = zerotrust::add(surfaces, parts);
    let surfaces = manager::add(surfaces, parts);
    let surfaces = warehouse::add(surfaces, parts);
    messaging::add(surfaces, parts)
}

/// The REST error dialects of all surfaces.
pub(super) fn dialects() -> Dialects {
    let dialects = Dialects::new([
        controlplane::dialect(),
        zerotrust::dialect(),
        manager::dialect(),
        warehouse::dialect(),
        messaging::dialect(),
    ]);
    dialects.with_fallback(Arc::new(Aip193 { domain: DOMAIN }))
}

impl Surfaces {
    /// The guard that stands before every service.
    fn guard(&self) -> Arc<dyn Guard> {
        self.guard.clone()
    }

    /// Adds a service: as tonic serves it, its REST routes and its methods.
    fn with(mut self, grpc: impl GrpcService, rest: Vec<Route>, methods: &'static [&'static MethodInfo]) -> Self {
        self.grpc = self.grpc.add_service(grpc);
        self.rest = self.rest.routes(rest);
        self.methods.extend(methods);
        self
    }
}

/// A gRPC service as tonic makes them.
pub trait GrpcService:
    Service<Request<tonic::body::Body>, Error = Infallible, Response: IntoResponse, Future: Send + 'static>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> GrpcService for S where
    S: Service<Request<tonic::body::Body>, Error = Infallible, Response: IntoResponse, Future: Send + 'static>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}
