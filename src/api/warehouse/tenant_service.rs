//! `TenantService`: tenants with the provider that their users log in with.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, listed, take},
    proto::warehouse::v1::{
        CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, ListTenantsRequest,
        ListTenantsResponse, SetTenantAuthRequest, SetTenantAuthResponse, SetTenantDisabledRequest,
        SetTenantDisabledResponse, Tenant, tenant_service_server::TenantService,
    },
    warehouse::{
        Warehouse,
        tenants::{self, TenantView, Wanted},
    },
};

/// The service.
#[derive(Clone)]
pub struct Tenants {
    area: Warehouse,
}

impl Tenants {
    /// The service on the area.
    pub fn new(area: Warehouse) -> Self {
        Self { area }
    }
}

#[async_trait]
impl TenantService for Tenants {
    async fn create_tenant(
        &self,
        request: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let CreateTenantRequest { name, id, display_name, auth_provider: provider, auth_config } = message;
        let wanted = Wanted { name, id, display_name, provider, config: auth_config.into_iter().collect() };
        let view = tenants::create(&cx, &self.area, wanted).await;
        answer(&cx, view.map(|view| CreateTenantResponse { tenant: Some(shown(view)) }))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let (cx, _) = take(request)?;
        let views = tenants::list(&cx, &self.area.store).await;
        listed(&cx, views, |page| ListTenantsResponse { tenants: page.into_iter().map(shown).collect() })
    }

    async fn set_tenant_disabled(
        &self,
        request: Request<SetTenantDisabledRequest>,
    ) -> Result<Response<SetTenantDisabledResponse>, Status> {
        let (cx, message) = take(request)?;
        let view = tenants::set_disabled(&cx, &self.area.store, message.name(), message.disabled()).await;
        answer(&cx, view.map(|view| SetTenantDisabledResponse { tenant: Some(shown(view)) }))
    }

    async fn set_tenant_auth(
        &self,
        request: Request<SetTenantAuthRequest>,
    ) -> Result<Response<SetTenantAuthResponse>, Status> {
        let (cx, message) = take(request)?;
        let config = message.auth_config.clone().into_iter().collect();
        let view = tenants::set_auth(&cx, &self.area, message.name(), message.auth_provider(), config).await;
        answer(&cx, view.map(|view| SetTenantAuthResponse { tenant: Some(shown(view)) }))
    }

    async fn delete_tenant(
        &self,
        request: Request<DeleteTenantRequest>,
    ) -> Result<Response<DeleteTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let deleted = tenants::delete(&cx, &self.area.store, message.name()).await;
        answer(&cx, deleted.map(|()| DeleteTenantResponse {}))
    }
}

fn shown(view: TenantView) -> Tenant {
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
