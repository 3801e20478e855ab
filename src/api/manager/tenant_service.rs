//! `TenantService`: tenants by id, name and age.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, listed, take, timestamp},
    base::{Result, TenantRef},
    manager::tenants,
    proto::manager::v1::{
        CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, GetTenantRequest,
        GetTenantResponse, ListTenantsRequest, ListTenantsResponse, ReplaceTenantRequest, ReplaceTenantResponse,
        Tenant, UpdateTenantRequest, UpdateTenantResponse, tenant_service_server::TenantService,
    },
    store::Store,
    tenants::Tenant as Registered,
};

/// The service.
#[derive(Clone)]
pub struct Tenants {
    store: Store,
    max_tenants: Option<u64>,
}

impl Tenants {
    /// The service on a store, with the limit on tenants.
    pub fn new(store: Store, max_tenants: Option<u64>) -> Self {
        Self { store, max_tenants }
    }
}

#[async_trait]
impl TenantService for Tenants {
    async fn create_tenant(
        &self,
        request: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let tenant = tenants::create(&cx, &self.store, self.max_tenants, message.name()).await;
        answer(&cx, tenant.map(|tenant| CreateTenantResponse { tenant: Some(shown(tenant)) }))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let (cx, _) = take(request)?;
        let tenants = tenants::list(&cx, &self.store).await;
        listed(&cx, tenants, |page| ListTenantsResponse { tenants: page.into_iter().map(shown).collect() })
    }

    async fn get_tenant(&self, request: Request<GetTenantRequest>) -> Result<Response<GetTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let tenant = tenants::get(&cx, &self.store, &TenantRef::parse(&message.tenant_id)).await;
        answer(&cx, tenant.map(|tenant| GetTenantResponse { tenant: Some(shown(tenant)) }))
    }

    async fn replace_tenant(
        &self,
        request: Request<ReplaceTenantRequest>,
    ) -> Result<Response<ReplaceTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let updated = tenants::update(&cx, &self.store, message.id(), Some(message.name())).await;
        answer(&cx, updated.map(|()| ReplaceTenantResponse {}))
    }

    async fn update_tenant(
        &self,
        request: Request<UpdateTenantRequest>,
    ) -> Result<Response<UpdateTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let updated = tenants::update(&cx, &self.store, message.id(), message.name.as_deref()).await;
        answer(&cx, updated.map(|()| UpdateTenantResponse {}))
    }

    async fn delete_tenant(
        &self,
        request: Request<DeleteTenantRequest>,
    ) -> Result<Response<DeleteTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let deleted = tenants::delete(&cx, &self.store, &TenantRef::parse(&message.tenant_id)).await;
        answer(&cx, deleted.map(|()| DeleteTenantResponse {}))
    }
}

fn shown(tenant: Registered) -> Tenant {
    Tenant {
        id: tenant.id.manager(),
        name: tenant.name.as_str().to_owned(),
        created_at: Some(timestamp(tenant.created_at)),
    }
}
