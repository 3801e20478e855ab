//! `grpc.health.v1`: every service is SERVING when the server is ready.
//!
//! The rules are those of `third_party/proto/grpc/health/v1/health.proto`.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use futures::{Stream, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::visitors::Visitors;
use crate::{
    base::{Drain, Error, Kind, error::Reason},
    proto::grpc::health::v1::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{self, HealthServer},
    },
};

/// The health of a server. Clones share it.
#[derive(Clone)]
pub struct Health {
    services: Arc<BTreeSet<String>>,
    ready: watch::Receiver<bool>,
    drain: Drain,
    visitors: Visitors,
}

impl Health {
    /// The health of these services. Watches end with the drain.
    pub(super) fn of<'s>(
        services: impl Iterator<Item = &'s str>,
        ready: watch::Receiver<bool>,
        drain: Drain,
        visitors: Visitors,
    ) -> Self {
        let services = services.map(str::to_owned).collect();
        Self { services: Arc::new(services), ready, drain, visitors }
    }

    pub(super) fn server(&self) -> HealthServer<Self> {
        HealthServer::new(self.clone())
    }

    /// Whether the server is ready. A draining one is not, whatever its last check was.
    fn is_ready(&self) -> bool {
        *self.ready.borrow() && !self.drain.has_begun()
    }

    /// Whether a service exists; the empty name is the whole server.
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(service)
    }
}

fn answer(ready: bool) -> HealthCheckResponse {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Error::new(Kind::NotFound, Reason::MethodUnknown, "service not found").to_status());
        }
        Ok(Response::new(answer(self.is_ready())))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let ready = self.is_ready();
        let names = std::iter::once(String::new()).chain(self.services.iter().cloned());
        Ok(Response::new(HealthListResponse { statuses: names.map(|name| (name, answer(ready))).collect() }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let visit = self.visitors.enter(request.extensions())?;
        let ready = self.knows(&request.get_ref().service).then(|| self.ready.clone());
        let watcher = Watcher { ready, drain: self.drain.clone(), told: None, left: false };
        Ok(Response::new(Box::pin(visit.bound(stream::unfold(watcher, Watcher::next)))))
    }
}

/// A watch of a service.
struct Watcher {
    /// Whether the service is ready; `None` if there is no such service, which cannot change.
    ready: Option<watch::Receiver<bool>>,
    drain: Drain,
    /// The last response.
    told: Option<HealthCheckResponse>,
    /// Whether the last response was sent.
    left: bool,
}

impl Watcher {
    /// The next response.
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        if self.left {
            return None;
        }
        let next = if self.told.is_none() {
            self.news().await
        } else {
            let drain = self.drain.clone();
            tokio::select! {
                // First, because the end of the server is also a change of state.
                biased;
                () = drain.draining() => self.last(),
                next = self.news() => next,
            }
        };
        match &next {
            Ok(next) => self.told = Some(*next),
            Err(_) => self.left = true,
        }
        Some((next, self))
    }

    /// The current state, then every change.
    async fn news(&mut self) -> Result<HealthCheckResponse, Status> {
        let Some(ready) = &mut self.ready else {
            if self.told.is_none() {
                return Ok(HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() });
            }
            return std::future::pending().await;
        };
        loop {
            let now = answer(*ready.borrow_and_update() && !self.drain.has_begun());
            if self.told != Some(now) {
                return Ok(now);
            }
            if ready.changed().await.is_err() {
                return Err(Drain::status());
            }
        }
    }

    /// The server stops: a client that received SERVING gets NOT_SERVING, then the stream ends.
    fn last(&self) -> Result<HealthCheckResponse, Status> {
        if self.told == Some(answer(true)) { Ok(answer(false)) } else { Err(Drain::status()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{health_server::Health as _, *};

    #[tokio::test]
    async fn a_draining_server_is_not_serving() {
        let drain = Drain::default();
        let ready = watch::Sender::new(true);
        let health = Health::of(["a.B"].into_iter(), ready.subscribe(), drain.clone(), Visitors::new(1));
        let check = async || {
            let request = HealthCheckRequest { service: "a.B".to_owned() };
            health.check(Request::new(request)).await.unwrap().into_inner().status()
        };
        assert_eq!(check().await, ServingStatus::Serving);
        drain.begin();
        assert_eq!(check().await, ServingStatus::NotServing);
        let listed = health.list(Request::new(HealthListRequest {})).await.unwrap().into_inner().statuses;
        assert_eq!(listed.len(), 2);
        assert!(listed.values().all(|health| health.status() == ServingStatus::NotServing), "{listed:?}");
    }
}
