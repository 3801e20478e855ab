//! `TenantService`: tenants with their admin roles and allowed clusters.

use prost_types::FieldMask;
use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, listed, take},
    base::Result,
    messaging::{
        MessagingSettings,
        rules::InfoInput,
        tenants::{self, TenantView},
    },
    proto::messaging::v2::{
        CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, GetTenantRequest,
        GetTenantResponse, ListTenantsRequest, ListTenantsResponse, TenantInfo, UpdateTenantRequest,
        UpdateTenantResponse, tenant_service_server::TenantService,
    },
    store::Store,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Tenants {
    store: Store,
    settings: MessagingSettings,
}

impl Tenants {
    /// The service on a store.
    pub fn new(store: Store, settings: MessagingSettings) -> Self {
        Self { store, settings }
    }
}

#[async_trait]
impl TenantService for Tenants {
    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let (cx, _) = take(request)?;
        let names = tenants::list(&cx, &self.store).await;
        listed(&cx, names, |tenants| ListTenantsResponse { tenants })
    }

    async fn get_tenant(&self, request: Request<GetTenantRequest>) -> Result<Response<GetTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let view = tenants::get(&cx, &self.store, &message.tenant).await;
        answer(&cx, view.map(shown))
    }

    async fn create_tenant(
        &self,
        request: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let info = input(message.info, message.given.as_ref());
        let id = tenants::create(&cx, &self.store, &self.settings, &message.tenant, info.as_ref()).await;
        answer(&cx, id.map(|id| CreateTenantResponse { id: id.dashed() }))
    }

    async fn update_tenant(
        &self,
        request: Request<UpdateTenantRequest>,
    ) -> Result<Response<UpdateTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let info = input(message.info, message.given.as_ref());
        let version = tenants::update(&cx, &self.store, &message.tenant, info.as_ref(), message.version).await;
        answer(&cx, version.map(|version| UpdateTenantResponse { version }))
    }

    async fn delete_tenant(
        &self,
        request: Request<DeleteTenantRequest>,
    ) -> Result<Response<DeleteTenantResponse>, Status> {
        let (cx, message) = take(request)?;
        let deleted = tenants::delete(&cx, &self.store, &self.settings, &message.tenant, message.force).await;
        answer(&cx, deleted.map(|()| DeleteTenantResponse {}))
    }
}

/// The settings as the caller gave them. A mask names the members that were given; without one all were.
fn input(info: Option<TenantInfo>, given: Option<&FieldMask>) -> Option<InfoInput> {
    let is_given = |member: &str| given.is_none_or(|mask| mask.paths.iter().any(|path| path == member));
    info.map(|info| InfoInput {
        admin_roles: is_given("admin_roles").then_some(info.admin_roles),
        allowed_clusters: is_given("allowed_clusters").then_some(info.allowed_clusters),
    })
}

fn shown(view: TenantView) -> GetTenantResponse {
    let info = TenantInfo { admin_roles: view.info.admin_roles, allowed_clusters: view.info.allowed_clusters };
    GetTenantResponse { info: Some(info), version: view.version }
}
