//! `ProvisioningService`: the databases of tenants.

use tonic::Response;

use crate::{
    api::{Deps, List, handlers::controlplane::v1::provisioning_service::ProvisioningService, list_response, started},
    base::{Cx, Result},
    controlplane::{
        migrations,
        provisioning::{self, AutoPlacement, Provisioning},
    },
    proto::controlplane::v1::{
        AutoProvisionTenantRequest, AutoProvisionTenantResponse, GetMigrationStatusRequest, GetMigrationStatusResponse,
        ProvisionTenantRequest, ProvisionTenantResponse,
    },
};

/// The status in the response of a call that succeeded.
const PROVISIONED: &str = "provisioned";

pub struct TenantProvisioning {
    pub(super) deps: Deps,
}

impl TenantProvisioning {
    /// Waits for the operation of a call. Returns the last migration.
    async fn finish(&self, cx: &Cx, provisioning: &Provisioning) -> Result<Option<String>> {
        provisioning::finish(cx, &self.deps.store, provisioning, self.deps.settings.provisioning.timeout).await
    }
}

impl ProvisioningService for TenantProvisioning {
    async fn provision_tenant(&self, cx: &Cx, _: ProvisionTenantRequest) -> Result<Response<ProvisionTenantResponse>> {
        let site = &self.deps.settings.provisioning.site;
        let begun = provisioning::provision(cx, &self.deps.store, site, cx.tenant()?).await?;
        let revision = self.finish(cx, &begun).await?;
        let response =
            ProvisionTenantResponse { tenant_id: begun.tenant.dashed(), revision, status: PROVISIONED.to_owned() };
        started(begun.operation, response)
    }

    async fn auto_provision_tenant(
        &self,
        cx: &Cx,
        message: AutoProvisionTenantRequest,
    ) -> Result<Response<AutoProvisionTenantResponse>> {
        let settings = &self.deps.settings;
        settings.multitenancy.require_self_service()?;
        let AutoProvisionTenantRequest { host, port, region, tier, .. } = message;
        let input = AutoPlacement { host, port, region, tier };
        let site = &settings.provisioning.site;
        let begun = provisioning::auto_provision(cx, &self.deps.store, site, cx.tenant()?, input).await?;
        let revision = self.finish(cx, &begun).await?;
        let response = AutoProvisionTenantResponse {
            tenant_id: begun.tenant.dashed(),
            dbname: begun.placement.dbname.unwrap_or_default(),
            openbao_role: begun.openbao_role,
            revision,
            status: PROVISIONED.to_owned(),
        };
        started(begun.operation, response)
    }

    async fn get_migration_status(
        &self,
        cx: &Cx,
        _: GetMigrationStatusRequest,
    ) -> Result<List<GetMigrationStatusResponse>> {
        let head = self.deps.settings.provisioning.head.clone();
        let pending = migrations::pending(cx, &self.deps.store, head.as_deref()).await?;
        let mut count = 0;
        Ok(list_response(cx, pending, move |page| {
            // A page is never too long for this. The last page has the number of all.
            count += page.len() as i64;
            GetMigrationStatusResponse { tenant_slugs: page, tenants_pending: count, tenant_head: head.clone() }
        }))
    }
}
