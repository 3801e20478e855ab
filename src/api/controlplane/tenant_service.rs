//! `TenantService`: the tenants of the registry.

use tonic::{Request, Response, Status, async_trait};

use super::wanted;
use crate::{
    api::{answer, listed, take, timestamp},
    base::TenantRef,
    proto::controlplane::v1::{
        CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, GetTenantRequest,
        GetTenantResponse, ListTenantsRequest, ListTenantsResponse, Tenant as TenantMessage, TenantSummary,
        tenant_service_server::TenantService,
    },
    store::Store,
    tenants::{
        self, Tenant,
        plane::{self, Removal, Removed},
    },
};

/// The service.
#[derive(Clone, Debug)]
pub struct Tenants {
    store: Store,
    /// Most tenants of the registry; none is no limit.
    max: Option<u64>,
}

impl Tenants {
    /// The service on a store that may hold so many tenants.
    pub fn new(store: Store, max: Option<u64>) -> Self {
        Self { store, max }
    }
}

#[async_trait]
impl TenantService for Tenants {
    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let (cx, message) = take(request)?;
        let tenants = plane::list(&cx, &self.store, wanted(&message.status)).await;
        let mut total = 0;
        listed(&cx, tenants, move |page| {
            // No page is longer than this. The last one has the number of all.
            total += page.len() as i64;
            ListTenantsResponse { tenants: page.into_iter().map(summary).collect(), total }
        })
    }

    async fn create_tenant(
        &self,
        request: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let (name, slug) = (message.name.unwrap_or_default(), message.slug.unwrap_or_default());
        let tenant = plane::create(&cx, &self.store, self.max, &name, &slug).await;
        answer(&cx, tenant.map(|tenant| CreateTenantResponse { tenant: Some(summary(tenant)) }))
    }

    async fn get_tenant(&self, request: Request<GetTenantRequest>) -> Result<Response<GetTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let tenant = tenants::resolve_any(&cx, &self.store, &TenantRef::parse(&message.tenant_id)).await;
        answer(&cx, tenant.map(|(tenant, _)| GetTenantResponse { tenant: Some(shown(tenant)) }))
    }

    async fn delete_tenant(
        &self,
        request: Request<DeleteTenantRequest>,
    ) -> Result<Response<DeleteTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let DeleteTenantRequest { tenant_id, confirm, drop_database } = message;
        let removal = Removal { confirm: confirm.unwrap_or_default(), drop_database };
        let removed = plane::delete(&cx, &self.store, &TenantRef::parse(&tenant_id), removal).await;
        answer(&cx, removed.map(report))
    }
}

fn summary(tenant: Tenant) -> TenantSummary {
    TenantSummary {
        id: tenant.id.dashed(),
        name: tenant.display_name,
        slug: tenant.name.to_string(),
        status: tenant.status.to_string(),
    }
}

fn shown(tenant: Tenant) -> TenantMessage {
    TenantMessage {
        id: tenant.id.dashed(),
        slug: tenant.name.to_string(),
        status: tenant.status.to_string(),
        created_at: Some(timestamp(tenant.created_at)),
        updated_at: Some(timestamp(tenant.updated_at)),
        name: tenant.display_name,
    }
}

fn report(removed: Removed) -> DeleteTenantResponse {
    DeleteTenantResponse {
        openbao_removed: removed.openbao_removed,
        database_dropped: removed.database_dropped,
        registry_removed: removed.registry_removed,
        errors: removed.errors,
    }
}
