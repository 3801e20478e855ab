//! `TenantService`: tenants with the authentication provider of their users.

use crate::{
    api::{List, handlers::warehouse::v1::tenant_service::TenantService, list_response},
    base::{Cx, Result},
    proto::warehouse::v1::{
        CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, ListTenantsRequest,
        ListTenantsResponse, SetTenantAuthRequest, SetTenantAuthResponse, SetTenantDisabledRequest,
        SetTenantDisabledResponse, Tenant,
    },
    warehouse::{
        Warehouse,
        tenants::{self, TenantView, Wanted},
    },
};

pub struct Tenants {
    pub(super) area: Warehouse,
}

impl TenantService for Tenants {
    async fn create_tenant(&self, cx: &Cx, message: CreateTenantRequest) -> Result<CreateTenantResponse> {
        let CreateTenantRequest { name, id, display_name, auth_provider: provider, auth_config } = message;
        let wanted = Wanted { name, id, display_name, provider, config: auth_config.into_iter().collect() };
        let view = tenants::create(cx, &self.area, wanted).await?;
        Ok(CreateTenantResponse { tenant: Some(to_proto(view)) })
    }

    async fn list_tenants(&self, cx: &Cx, _: ListTenantsRequest) -> Result<List<ListTenantsResponse>> {
        let views = tenants::list(cx, &self.area.store).await?;
        Ok(list_response(cx, views, |page| ListTenantsResponse { tenants: page.into_iter().map(to_proto).collect() }))
    }

    async fn set_tenant_disabled(
        &self,
        cx: &Cx,
        message: SetTenantDisabledRequest,
    ) -> Result<SetTenantDisabledResponse> {
        let view = tenants::set_disabled(cx, &self.area.store, message.name(), message.disabled()).await?;
        Ok(SetTenantDisabledResponse { tenant: Some(to_proto(view)) })
    }

    async fn set_tenant_auth(&self, cx: &Cx, message: SetTenantAuthRequest) -> Result<SetTenantAuthResponse> {
        let config = message.auth_config.clone().into_iter().collect();
        let view = tenants::set_auth(cx, &self.area, message.name(), message.auth_provider(), config).await?;
        Ok(SetTenantAuthResponse { tenant: Some(to_proto(view)) })
    }

    async fn delete_tenant(&self, cx: &Cx, message: DeleteTenantRequest) -> Result<DeleteTenantResponse> {
        tenants::delete(cx, &self.area.store, message.name()).await?;
        Ok(DeleteTenantResponse {})
    }
}

fn to_proto(view: TenantView) -> Tenant {
    Tenant {
        name: view.name,
        id: view.id.warehouse(),
        display_name: view.display_name,
        pools: Vec::new(),
        disabled: view.disabled,
        auth_provider: view.provider.as_str().to_owned(),
        auth_config: view.config.into_iter().collect(),
    }
}
