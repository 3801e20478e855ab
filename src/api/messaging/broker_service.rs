//! `BrokerService`: the two probes of the messaging platform.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, take},
    proto::{
        google::api::HttpBody,
        messaging::v2::{CheckHealthRequest, CheckReadyRequest, broker_service_server::BrokerService},
    },
    store::Store,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Brokers {
    store: Store,
}

impl Brokers {
    /// Probes of a server on this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl BrokerService for Brokers {
    async fn check_health(&self, _: Request<CheckHealthRequest>) -> Result<Response<HttpBody>, Status> {
        Ok(Response::new(ok()))
    }

    async fn check_ready(&self, request: Request<CheckReadyRequest>) -> Result<Response<HttpBody>, Status> {
        let (cx, _) = take(request)?;
        answer(&cx, self.store.ping().await.map(|()| ok()))
    }
}

/// The text that the probes' clients look for.
fn ok() -> HttpBody {
    HttpBody { content_type: "text/plain".to_owned(), data: b"ok".to_vec(), extensions: Vec::new() }
}
