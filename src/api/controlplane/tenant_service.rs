//! `TenantService`: the tenants of the registry.

use serde_json::{Map, Value};
use tonic::Response;

use super::{optional_filter, placement_service};
use crate::{
    api::{
        Deps, List, handlers::controlplane::v1::tenant_service::TenantService, list_response, started,
        structs::to_struct, timestamp,
    },
    base::{Cx, Result},
    controlplane::{
        deletion::{self, Removal, Removed},
        tenants::{self, TenantDetails},
    },
    proto::controlplane::v1::{
        CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, DeleteTenantResponse, GetTenantRequest,
        GetTenantResponse, ListTenantsRequest, ListTenantsResponse, Tenant as TenantMessage, TenantSummary,
    },
    tenants::Tenant,
};

pub struct Tenants {
    pub(super) deps: Deps,
}

impl TenantService for Tenants {
    async fn list_tenants(&self, cx: &Cx, message: ListTenantsRequest) -> Result<List<ListTenantsResponse>> {
        let tenants = tenants::list(cx, &self.deps.store, optional_filter(&message.status)).await?;
        let mut total = 0;
        Ok(list_response(cx, tenants, move |page| {
            // A page is never too long for this. The last page has the total.
            total += page.len() as i64;
            ListTenantsResponse { tenants: page.into_iter().map(to_summary).collect(), total }
        }))
    }

    async fn create_tenant(&self, cx: &Cx, message: CreateTenantRequest) -> Result<CreateTenantResponse> {
        let (name, slug) = (message.name.unwrap_or_default(), message.slug.unwrap_or_default());
        let tenant = tenants::create(cx, &self.deps.store, self.deps.settings.max_tenants, &name, &slug).await?;
        Ok(CreateTenantResponse { tenant: Some(to_summary(tenant)) })
    }

    async fn get_tenant(&self, cx: &Cx, _: GetTenantRequest) -> Result<GetTenantResponse> {
        let details = tenants::get(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(GetTenantResponse { tenant: Some(to_proto(details)) })
    }

    async fn delete_tenant(&self, cx: &Cx, message: DeleteTenantRequest) -> Result<Response<DeleteTenantResponse>> {
        let DeleteTenantRequest { confirm, drop_database, .. } = message;
        let removal = Removal { confirm: confirm.unwrap_or_default(), drop_database };
        let time = self.deps.settings.provisioning.timeout;
        let removed = deletion::delete_with(cx, &self.deps.databases, time, cx.tenant()?, removal).await?;
        started(removed.operation, to_response(removed))
    }
}

fn to_summary(tenant: Tenant) -> TenantSummary {
    TenantSummary {
        id: tenant.id.dashed(),
        name: tenant.display_name,
        slug: tenant.name.to_string(),
        status: tenant.status.to_string(),
    }
}

fn to_proto(details: TenantDetails) -> TenantMessage {
    let TenantDetails { tenant, placement, revision, settings, limits } = details;
    let given = |object: Map<String, Value>| (!object.is_empty()).then(|| to_struct(object));
    TenantMessage {
        placement: placement.map(|placement| placement_service::to_proto(tenant.id, placement)),
        settings: given(settings),
        limits: given(limits),
        revision,
        id: tenant.id.dashed(),
        slug: tenant.name.to_string(),
        status: tenant.status.to_string(),
        created_at: Some(timestamp(tenant.created_at)),
        updated_at: Some(timestamp(tenant.updated_at)),
        name: tenant.display_name,
    }
}

fn to_response(removed: Removed) -> DeleteTenantResponse {
    DeleteTenantResponse {
        openbao_removed: removed.openbao_removed,
        database_dropped: removed.database_dropped,
        registry_removed: removed.registry_removed,
        errors: removed.errors,
    }
}
