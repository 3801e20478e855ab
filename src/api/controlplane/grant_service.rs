//! `GrantService`: roles of identities in tenants.

use super::optional_filter;
use crate::{
    api::{Deps, List, handlers::controlplane::v1::grant_service::GrantService, list_response, timestamp},
    base::{Cx, Result, TenantRef, ids::read_dashed},
    identity::{
        Grant,
        grants::{self, GrantFilter, NewGrant},
    },
    proto::controlplane::v1::{
        CreateGrantRequest, CreateGrantResponse, DeleteGrantRequest, DeleteGrantResponse, Grant as GrantMessage,
        ListGrantsRequest, ListGrantsResponse,
    },
};

pub struct Grants {
    pub(super) deps: Deps,
}

impl GrantService for Grants {
    async fn list_grants(&self, cx: &Cx, message: ListGrantsRequest) -> Result<List<ListGrantsResponse>> {
        let of = GrantFilter {
            identity: optional_filter(&message.user_id).map(read_dashed),
            tenant: optional_filter(&message.tenant_id).map(TenantRef::parse),
        };
        let grants = grants::list(cx, &self.deps.store, &of).await?;
        Ok(list_response(cx, grants, |page| ListGrantsResponse { grants: page.into_iter().map(to_proto).collect() }))
    }

    async fn create_grant(&self, cx: &Cx, message: CreateGrantRequest) -> Result<CreateGrantResponse> {
        let CreateGrantRequest { user_id, tenant_id, role, is_default, expires_at, reason } = message;
        let new = NewGrant {
            identity: read_dashed(&user_id.unwrap_or_default()),
            tenant: TenantRef::parse(&tenant_id.unwrap_or_default()),
            role,
            is_default,
            expires_at,
            reason,
        };
        let grant = grants::create(cx, &self.deps.store, new).await?;
        Ok(CreateGrantResponse { grant: Some(to_proto(grant)) })
    }

    async fn delete_grant(&self, cx: &Cx, message: DeleteGrantRequest) -> Result<DeleteGrantResponse> {
        grants::delete(cx, &self.deps.store, read_dashed(&message.grant_id)).await?;
        Ok(DeleteGrantResponse {})
    }
}

fn to_proto(grant: Grant) -> GrantMessage {
    GrantMessage {
        id: grant.id.to_string(),
        user_id: grant.identity.to_string(),
        tenant_id: grant.tenant.dashed(),
        role: grant.role.as_str().to_owned(),
        is_default: grant.is_default,
        expires_at: grant.expires_at.map(timestamp),
        reason: grant.reason,
    }
}
