//! `GrantService`: roles of identities in tenants.

use tonic::{Request, Response, Status, async_trait};

use super::wanted;
use crate::{
    api::{answer, listed, take, timestamp},
    base::{TenantRef, ids::read_dashed},
    identity::{
        Grant,
        grants::{self, NewGrant, Wanted},
    },
    proto::controlplane::v1::{
        CreateGrantRequest, CreateGrantResponse, DeleteGrantRequest, DeleteGrantResponse, Grant as GrantMessage,
        ListGrantsRequest, ListGrantsResponse, grant_service_server::GrantService,
    },
    store::Store,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Grants {
    store: Store,
}

impl Grants {
    /// The service on a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl GrantService for Grants {
    async fn list_grants(&self, request: Request<ListGrantsRequest>) -> Result<Response<ListGrantsResponse>, Status> {
        let (cx, message) = take(request)?;
        let of = Wanted {
            identity: wanted(&message.user_id).map(read_dashed),
            tenant: wanted(&message.tenant_id).map(TenantRef::parse),
        };
        let grants = grants::list(&cx, &self.store, &of).await;
        listed(&cx, grants, |page| ListGrantsResponse { grants: page.into_iter().map(shown).collect() })
    }

    async fn create_grant(
        &self,
        request: Request<CreateGrantRequest>,
    ) -> Result<Response<CreateGrantResponse>, Status> {
        let (cx, message) = take(request)?;
        let CreateGrantRequest { user_id, tenant_id, role, is_default, expires_at } = message;
        let new = NewGrant {
            identity: read_dashed(&user_id.unwrap_or_default()),
            tenant: TenantRef::parse(&tenant_id.unwrap_or_default()),
            role,
            is_default,
            expires_at,
        };
        let grant = grants::create(&cx, &self.store, new).await;
        answer(&cx, grant.map(|grant| CreateGrantResponse { grant: Some(shown(grant)) }))
    }

    async fn delete_grant(
        &self,
        request: Request<DeleteGrantRequest>,
    ) -> Result<Response<DeleteGrantResponse>, Status> {
        let (cx, message) = take(request)?;
        let deleted = grants::delete(&cx, &self.store, read_dashed(&message.grant_id)).await;
        answer(&cx, deleted.map(|()| DeleteGrantResponse {}))
    }
}

fn shown(grant: Grant) -> GrantMessage {
    GrantMessage {
        id: grant.id.to_string(),
        user_id: grant.identity.to_string(),
        tenant_id: grant.tenant.dashed(),
        role: grant.role.as_str().to_owned(),
        is_default: grant.is_default,
        expires_at: grant.expires_at.map(timestamp),
    }
}
