//! Configuration of a REST service.

use std::{sync::Arc, time::Duration};

use super::{
    route::Route,
    service::{Inner, Rest},
};
use crate::{Dialects, Guard, Open, router::Router};

/// Collects routes and their common settings.
#[derive(Debug)]
pub struct RestBuilder {
    routes: Vec<Route>,
    dialects: Dialects,
    max_body: usize,
    heartbeat: Duration,
    timeout: Option<Duration>,
    facts: bool,
}

/// No routes yet, and the AIP-193 dialect.
impl Default for RestBuilder {
    fn default() -> Self {
        Self::new(Dialects::default())
    }
}

impl RestBuilder {
    /// No routes yet, with these dialects.
    pub fn new(dialects: Dialects) -> Self {
        Self {
            routes: Vec::new(),
            dialects,
            max_body: 1 << 20,
            heartbeat: Duration::from_secs(15),
            timeout: None,
            facts: false,
        }
    }

    /// Adds the routes of a service.
    pub fn routes(mut self, routes: impl IntoIterator<Item = Route>) -> Self {
        self.routes.extend(routes);
        self
    }

    /// The largest body in bytes; 1 MiB by default.
    pub fn max_body(self, bytes: usize) -> Self {
        Self { max_body: bytes, ..self }
    }

    /// How long a stream may be silent, 15 seconds by default. The head of the response is sent after this time even
    /// without a first message, and an event stream then gets a comment in each interval. Zero waits for the first
    /// message indefinitely and sends no comments. The first piece of raw bytes is always awaited, because it has the
    /// media type.
    pub fn heartbeat(self, every: Duration) -> Self {
        Self { heartbeat: every, ..self }
    }

    /// The longest time until a call responds or its stream begins. Without it, only the client limits a call, with
    /// `grpc-timeout` or `X-Server-Timeout`.
    pub fn timeout(self, most: Duration) -> Self {
        Self { timeout: Some(most), ..self }
    }

    /// Exposes calls to other code: stores [`Matched`](super::Matched) in the extensions of every request, for the
    /// guard and the service, and [`CallOutcome`](super::CallOutcome) in those of the responses of methods, for logs
    /// and metrics around this service.
    pub fn with_facts(self) -> Self {
        Self { facts: true, ..self }
    }

    /// The service, without a guard.
    pub fn open(self) -> Rest {
        self.build(Arc::new(Open))
    }

    /// The service, with the guard of every call.
    pub fn build(self, guard: Arc<dyn Guard>) -> Rest {
        let mut router = Router::default();
        for route in &self.routes {
            router.add(route.rule.method, &route.rule.template);
        }
        let Self { routes, dialects, max_body, heartbeat, timeout, facts } = self;
        Rest(Arc::new(Inner { router, routes, dialects, max_body, heartbeat, timeout, facts, guard }))
    }
}
