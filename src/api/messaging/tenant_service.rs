//! `TenantService`: tenants with their admin roles and allowed clusters.

use prost_types::FieldMask;

use crate::{
    api::{Deps, List, handlers::messaging::v2::tenant_service::TenantService, list_response},
    base::{Cx, Result},
    messaging::{
        rules::InfoInput,
        tenants::{self, TenantView},
    },
    proto::messaging::v2::{
        CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, GetTenantRequest,
        GetTenantResponse, ListTenantsRequest, ListTenantsResponse, TenantInfo, UpdateTenantRequest,
        UpdateTenantResponse,
    },
};

pub struct Tenants {
    pub(super) deps: Deps,
}

impl TenantService for Tenants {
    async fn list_tenants(&self, cx: &Cx, _: ListTenantsRequest) -> Result<List<ListTenantsResponse>> {
        let names = tenants::list(cx, &self.deps.store).await?;
        Ok(list_response(cx, names, |tenants| ListTenantsResponse { tenants }))
    }

    async fn get_tenant(&self, cx: &Cx, message: GetTenantRequest) -> Result<GetTenantResponse> {
        let view = tenants::get(cx, &self.deps.store, &message.tenant).await?;
        Ok(to_proto(view))
    }

    async fn create_tenant(&self, cx: &Cx, message: CreateTenantRequest) -> Result<CreateTenantResponse> {
        let info = info_input(message.info, message.given.as_ref());
        let id = tenants::create(cx, &self.deps.store, &self.deps.settings.messaging, &message.tenant, info.as_ref())
            .await?;
        Ok(CreateTenantResponse { id: id.dashed() })
    }

    async fn update_tenant(&self, cx: &Cx, message: UpdateTenantRequest) -> Result<UpdateTenantResponse> {
        let info = info_input(message.info, message.given.as_ref());
        let version = tenants::update(cx, &self.deps.store, &message.tenant, info.as_ref(), message.version).await?;
        Ok(UpdateTenantResponse { version })
    }

    async fn delete_tenant(&self, cx: &Cx, message: DeleteTenantRequest) -> Result<DeleteTenantResponse> {
        tenants::delete(cx, &self.deps.store, &self.deps.settings.messaging, &message.tenant, message.force).await?;
        Ok(DeleteTenantResponse {})
    }
}

/// The settings as the caller gave them. `given` lists the fields that were present; without it all were.
fn info_input(info: Option<TenantInfo>, given: Option<&FieldMask>) -> Option<InfoInput> {
    let is_given = |member: &str| given.is_none_or(|mask| mask.paths.iter().any(|path| path == member));
    info.map(|info| InfoInput {
        admin_roles: is_given("admin_roles").then_some(info.admin_roles),
        allowed_clusters: is_given("allowed_clusters").then_some(info.allowed_clusters),
    })
}

fn to_proto(view: TenantView) -> GetTenantResponse {
    let info = TenantInfo { admin_roles: view.info.admin_roles, allowed_clusters: view.info.allowed_clusters };
    GetTenantResponse { info: Some(info), version: view.version }
}
