//! `StatusService`: what the control plane can do here.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, take},
    proto::controlplane::v1::{GetStatusRequest, GetStatusResponse, status_service_server::StatusService},
    store::Store,
    tenants::{self, MultitenancySettings},
};

/// The service.
#[derive(Clone, Debug)]
pub struct Statuses {
    store: Store,
    settings: MultitenancySettings,
}

impl Statuses {
    /// The service on a store.
    pub fn new(store: Store, settings: MultitenancySettings) -> Self {
        Self { store, settings }
    }
}

#[async_trait]
impl StatusService for Statuses {
    async fn get_status(&self, request: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let (cx, _) = take(request)?;
        let count = tenants::count(&self.store).await;
        let status = count.map(|count| GetStatusResponse {
            multitenancy_enabled: self.settings.state.is_enabled(),
            tenant_count: i64::try_from(count).unwrap_or(i64::MAX),
            self_service_provisioning: self.settings.self_service,
            // There is no setting yet that would name a database server.
            provisioner_configured: false,
        });
        answer(&cx, status)
    }
}
