//! The first step of the guard for gRPC, before the body is read.

use std::{
    collections::HashMap,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use crate::{Guard, MethodInfo};

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
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method = self.table.methods.get(request.uri().path());
        let admitted = method.map_or(Ok(()), |method| self.table.guard.admit(method, request.extensions_mut()));
        match admitted {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(status) => Box::pin(ready(Ok(status.into_http()))),
        }
    }
}
