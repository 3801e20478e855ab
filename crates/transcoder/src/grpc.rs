//! gRPC calls on their way to a service: the first step of the guard, before the body is read, and the choice of the service.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::ready,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

pub use crate::service::Answer;
use crate::{GrpcService, Guard, MethodInfo};

/// The services of a server by name. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services(Arc<HashMap<&'static str, GrpcService>>);

impl Services {
    /// These services, with their full names.
    pub fn new(services: impl IntoIterator<Item = (&'static str, GrpcService)>) -> Self {
        Self(Arc::new(services.into_iter().collect()))
    }
}

impl<B> Service<Request<B>> for Services
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Each of them is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        let path = request.uri().path();
        let name = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        match name.and_then(|name| self.0.get(name)) {
            Some(service) => service.clone().call(request),
            None => Box::pin(ready(Ok(Status::unimplemented("there is no such service").into_http()))),
        }
    }
}

/// Asks the guard for the method before a gRPC call reaches its service. Paths of unknown methods pass: health and
/// reflection have no rules.
#[derive(Clone)]
pub struct AdmitLayer(Arc<Table>);

struct Table {
    methods: HashMap<&'static str, &'static MethodInfo>,
    guard: Arc<dyn Guard>,
}

impl AdmitLayer {
    /// A layer for these methods.
    pub fn new(methods: impl IntoIterator<Item = &'static MethodInfo>, guard: Arc<dyn Guard>) -> Self {
        let methods = methods.into_iter().map(|method| (method.path, method)).collect();
        Self(Arc::new(Table { methods, guard }))
    }
}

impl std::fmt::Debug for AdmitLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.methods.keys()).finish()
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { table: self.0.clone(), inner }
    }
}

/// The service of [`AdmitLayer`].
#[derive(Clone)]
pub struct Admit<S> {
    table: Arc<Table>,
    inner: S,
}

impl<S: std::fmt::Debug> std::fmt::Debug for Admit<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Admit").field(&self.inner).finish()
    }
}

impl<S, B> Service<Request<B>> for Admit<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future = Answer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Answer {
        let method = self.table.methods.get(request.uri().path());
        let admitted = method.map_or(Ok(()), |method| self.table.guard.admit(method, request.extensions_mut()));
        match admitted {
            Ok(()) => self.inner.call(request),
            Err(status) => Box::pin(ready(Ok(status.into_http()))),
        }
    }
}
