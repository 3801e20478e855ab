//! `BrokerService`: the two health probes of the messaging platform.

use crate::{
    api::{Deps, handlers::messaging::v2::broker_service::BrokerService},
    base::{Cx, Result},
    proto::{
        google::api::HttpBody,
        messaging::v2::{CheckHealthRequest, CheckReadyRequest},
    },
};

pub struct Brokers {
    pub(super) deps: Deps,
}

impl BrokerService for Brokers {
    async fn check_health(&self, _: &Cx, _: CheckHealthRequest) -> Result<HttpBody> {
        Ok(ok())
    }

    async fn check_ready(&self, _: &Cx, _: CheckReadyRequest) -> Result<HttpBody> {
        self.deps.store.ping().await?;
        Ok(ok())
    }
}

/// The text that probe clients expect.
fn ok() -> HttpBody {
    HttpBody { content_type: "text/plain".to_owned(), data: b"ok".to_vec(), extensions: Vec::new() }
}
