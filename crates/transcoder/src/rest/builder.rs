//! What a REST service is made of.

use std::{sync::Arc, time::Duration};

use super::{
    route::Route,
    service::{Inner, Rest},
};
use crate::{Dialects, Guard, Open, router::Router};

/// Collects routes and what holds for all of them.
#[derive(Debug)]
pub struct RestBuilder {
    routes: Vec<Route>,
    dialects: Dialects,
    max_body: usize,
    heartbeat: Duration,
    timeout: Option<Duration>,
    facts: bool,
}

/// No routes yet, and errors in the dialect of AIP-193.
impl Default for RestBuilder {
    fn default() -> Self {
        Self::new(Dialects::default())
    }
}

impl RestBuilder {
    /// No routes yet, and these dialects.
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

    /// The largest body in bytes; 1 MiB unless told.
    pub fn max_body(self, bytes: usize) -> Self {
        Self { max_body: bytes, ..self }
    }

    /// How long a stream may be silent: the first message is awaited so long before the head of the answer is sent, and an
    /// event stream then gets a comment each time. 15 seconds unless told; zero waits for the first message as long as it
    /// takes, and sends no comments. The first piece of raw bytes, which tells their media type, is always waited for.
    pub fn heartbeat(self, every: Duration) -> Self {
        Self { heartbeat: every, ..self }
    }

    /// The longest time until a call answers, or its stream begins. Without it, only the caller bounds a call, by
    /// `grpc-timeout` or `X-Server-Timeout`.
    pub fn timeout(self, most: Duration) -> Self {
        Self { timeout: Some(most), ..self }
    }

    /// Tells others of calls: leaves [`Matched`](super::Matched) in the extensions of every request, for the guard and the
    /// service, and [`Answered`](super::Answered) in those of what a method answers, for logs and metrics around this service.
    pub fn with_facts(self) -> Self {
        Self { facts: true, ..self }
    }

    /// The service, open to everybody.
    pub fn open(self) -> Rest {
        self.build(Arc::new(Open))
    }

    /// The service, with the guard that every call passes.
    pub fn build(self, guard: Arc<dyn Guard>) -> Rest {
        let mut router = Router::default();
        for route in &self.routes {
            router.add(route.rule.method, &route.rule.template);
        }
        let Self { routes, dialects, max_body, heartbeat, timeout, facts } = self;
        Rest(Arc::new(Inner { router, routes, dialects, max_body, heartbeat, timeout, facts, guard }))
    }
}
