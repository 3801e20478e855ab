//! `TenantService`: tenants by id, name and age.

use crate::{
    api::{Deps, List, handlers::manager::v1::tenant_service::TenantService, list_response, timestamp},
    base::{Cx, Result},
    manager::tenants,
    proto::manager::v1::{
        CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, GetTenantRequest,
        GetTenantResponse, ListTenantsRequest, ListTenantsResponse, ReplaceTenantRequest, ReplaceTenantResponse,
        Tenant as TenantMessage, UpdateTenantRequest, UpdateTenantResponse,
    },
    tenants::Tenant,
};

pub struct Tenants {
    pub(super) deps: Deps,
}

impl TenantService for Tenants {
    async fn create_tenant(&self, cx: &Cx, message: CreateTenantRequest) -> Result<CreateTenantResponse> {
        let tenant = tenants::create(cx, &self.deps.store, self.deps.settings.max_tenants, message.name()).await?;
        Ok(CreateTenantResponse { tenant: Some(to_proto(tenant)) })
    }

    async fn list_tenants(&self, cx: &Cx, _: ListTenantsRequest) -> Result<List<ListTenantsResponse>> {
        let tenants = tenants::list(cx, &self.deps.store).await?;
        Ok(list_response(cx, tenants, |page| ListTenantsResponse { tenants: page.into_iter().map(to_proto).collect() }))
    }

    async fn get_tenant(&self, cx: &Cx, _: GetTenantRequest) -> Result<GetTenantResponse> {
        let tenant = tenants::get(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(GetTenantResponse { tenant: Some(to_proto(tenant)) })
    }

    async fn replace_tenant(&self, cx: &Cx, message: ReplaceTenantRequest) -> Result<ReplaceTenantResponse> {
        tenants::update(cx, &self.deps.store, message.id(), Some(message.name())).await?;
        Ok(ReplaceTenantResponse {})
    }

    async fn update_tenant(&self, cx: &Cx, message: UpdateTenantRequest) -> Result<UpdateTenantResponse> {
        tenants::update(cx, &self.deps.store, message.id(), message.name.as_deref()).await?;
        Ok(UpdateTenantResponse {})
    }

    async fn delete_tenant(&self, cx: &Cx, _: DeleteTenantRequest) -> Result<DeleteTenantResponse> {
        tenants::delete(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(DeleteTenantResponse {})
    }
}

fn to_proto(tenant: Tenant) -> TenantMessage {
    TenantMessage {
        id: tenant.id.manager(),
        name: tenant.name.as_str().to_owned(),
        created_at: Some(timestamp(tenant.created_at)),
    }
}
