//! `StatusService`: the capabilities of the control plane.

use crate::{
    api::{Deps, handlers::controlplane::v1::status_service::StatusService},
    base::{Cx, Result},
    proto::controlplane::v1::{GetStatusRequest, GetStatusResponse},
    tenants,
};

pub struct Statuses {
    pub(super) deps: Deps,
}

impl StatusService for Statuses {
    async fn get_status(&self, _: &Cx, _: GetStatusRequest) -> Result<GetStatusResponse> {
        let count = tenants::count(&self.deps.store).await?;
        let settings = self.deps.settings.multitenancy;
        Ok(GetStatusResponse {
            multitenancy_enabled: settings.state.is_enabled(),
            tenant_count: i64::try_from(count).unwrap_or(i64::MAX),
            self_service_provisioning: settings.self_service,
            provisioner_configured: self.deps.settings.provisioning.site.is_complete(),
        })
    }
}
