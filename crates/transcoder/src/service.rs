//! A service as one value: its methods, and how it is served over gRPC and REST.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{Status, body::Body, server::NamedService};

use crate::{Guard, MethodInfo, Open, rest::Route};

/// A service that is yet to be served. The generated function `mount` makes one.
pub struct Service {
    name: &'static str,
    methods: &'static [&'static MethodInfo],
    serve: Serve,
}

/// Puts a service behind a guard and bounds its messages.
type Serve = Box<dyn FnOnce(Arc<dyn Guard>, usize) -> (Vec<Route>, GrpcService) + Send>;

impl Service {
    /// A service with these methods. `serve` puts it behind a guard and bounds the messages that it takes, in bytes: it returns
    /// the REST routes and tonic's server.
    pub fn new<G: Grpc>(
        methods: &'static [&'static MethodInfo],
        serve: impl FnOnce(Arc<dyn Guard>, usize) -> (Vec<Route>, G) + Send + 'static,
    ) -> Self {
        let serve = |guard: Arc<dyn Guard>, max_message: usize| {
            let (routes, grpc) = serve(guard, max_message);
            (routes, GrpcService(Arc::new(grpc)))
        };
        Self { name: G::NAME, methods, serve: Box::new(serve) }
    }

    /// Its full name, such as `shop.v1.OrderService`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its methods.
    pub fn methods(&self) -> &'static [&'static MethodInfo] {
        self.methods
    }

    /// The same service, known but not implemented here: over gRPC each method answers UNIMPLEMENTED with this message to callers
    /// whom the guard admits, and there are no REST routes.
    pub fn unimplemented(self, message: &'static str) -> Self {
        Self { serve: Box::new(move |_, _| (Vec::new(), GrpcService(Arc::new(Unimplemented(message))))), ..self }
    }

    /// The service behind a guard. It takes messages over gRPC of at most so many bytes.
    pub fn serve(self, guard: Arc<dyn Guard>, max_message: usize) -> Served {
        let Self { name, methods, serve } = self;
        let (routes, grpc) = serve(guard, max_message);
        Served { name, methods, routes, grpc }
    }

    /// The service, open to everybody. It takes messages over gRPC of at most 4 MiB.
    pub fn open(self) -> Served {
        self.serve(Arc::new(Open), 4 * 1024 * 1024)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.name).finish()
    }
}

/// A service behind its guard.
#[derive(Debug)]
pub struct Served {
    /// Its full name, such as `shop.v1.OrderService`.
    pub name: &'static str,
    /// Its methods, for [`AdmitLayer`](crate::grpc::AdmitLayer).
    pub methods: &'static [&'static MethodInfo],
    /// Its REST routes, for [`RestBuilder::routes`](crate::RestBuilder::routes).
    pub routes: Vec<Route>,
    /// What answers its calls over gRPC, for `axum::Router::route_service` or the like.
    pub grpc: GrpcService,
}

impl Served {
    /// The paths of its methods over gRPC, as axum's router has it: `/shop.v1.OrderService/{*method}`.
    pub fn grpc_path(&self) -> String {
        format!("/{}/{{*method}}", self.name)
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A service over gRPC, whatever its type is. Cheap to clone.
#[derive(Clone)]
pub struct GrpcService(Arc<dyn Call>);

impl<B> tower::Service<Request<B>> for GrpcService
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Those of tonic always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        self.0.call(request.map(Body::new))
    }
}

impl fmt::Debug for GrpcService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrpcService")
    }
}

/// A server as tonic generates it.
pub trait Grpc:
    tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Grpc for S where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

trait Call: Send + Sync {
    fn call(&self, request: Request<Body>) -> Answer;
}

impl<S: Grpc> Call for S {
    fn call(&self, request: Request<Body>) -> Answer {
        tower::Service::call(&mut self.clone(), request)
    }
}

/// What answers in place of a service that is not implemented.
struct Unimplemented(&'static str);

impl Call for Unimplemented {
    fn call(&self, _: Request<Body>) -> Answer {
        Box::pin(ready(Ok(Status::unimplemented(self.0).into_http())))
    }
}
