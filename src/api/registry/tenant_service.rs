//! `TenantService`: the tenants of the registry.

use futures::{Stream, StreamExt};

use crate::{
    api::{Deps, handlers::registry::v1::tenant_service::TenantService, timestamp},
    base::{
        Cx, Error, PageRequest, Result,
        error::Reason,
        page::{DEFAULT, ListId, MAX},
    },
    proto::registry::v1::{
        GetTenantRequest, GetTenantResponse, ListTenantsRequest, ListTenantsResponse, SuspensionAuthority,
        Tenant as TenantMessage, TenantState, WatchTenantsRequest, WatchTenantsResponse,
    },
    streams::{Watch, in_place},
    tenants::{self, Authority, Status, Tenant},
};

/// The name of the list, to which its page tokens belong.
const LIST: &str = "registry.tenants";

pub struct Tenants {
    pub(super) deps: Deps,
}

impl TenantService for Tenants {
    async fn list_tenants(&self, cx: &Cx, message: ListTenantsRequest) -> Result<ListTenantsResponse> {
        let request = page_request(message.page_size, &message.page_token)?;
        let page = tenants::reachable_page(cx, &self.deps.store, request).await?;
        let tenants = page.items.iter().map(to_proto).collect();
        Ok(ListTenantsResponse { tenants, next_page_token: page.next.unwrap_or_default() })
    }

    async fn get_tenant(&self, cx: &Cx, _: GetTenantRequest) -> Result<GetTenantResponse> {
        let (tenant, _) = tenants::resolve_any(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(GetTenantResponse { tenant: Some(to_proto(&tenant)) })
    }

    async fn watch_tenants(
        &self,
        cx: &Cx,
        message: WatchTenantsRequest,
    ) -> Result<impl Stream<Item = Result<WatchTenantsResponse>> + Send + 'static> {
        let streams = &self.deps.streams;
        let scope = tenants::watchable(cx, &self.deps.store).await?;
        let place = streams.board.places().take(&cx.caller)?;
        let watch = Watch::open(&streams.tenants, scope, message.revision).await?;
        let messages = watch.messages().map(|message| message.map(WatchTenantsResponse::from));
        Ok(in_place(messages, place, streams.standing.end_of(cx)))
    }
}

/// The requested page (AIP-158): without a size the server uses the default, and a size above the maximum is reduced to it.
fn page_request(size: i32, token: &str) -> Result<PageRequest> {
    let limit = match u64::try_from(size) {
        Ok(0) => DEFAULT,
        Ok(size) => size.min(MAX),
        Err(_) => {
            let text = "page_size must not be negative";
            return Err(Error::invalid(Reason::InvalidArgument, "page_size", text));
        }
    };
    // At most 500.
    PageRequest::of(ListId::new(LIST, b""), Some(limit as i64), Some(token)).map_err(|_| {
        let text = "page_token must be the next_page_token of an earlier response of this list";
        Error::invalid(Reason::CursorInvalid, "page_token", text)
    })
}

pub(super) fn to_proto(tenant: &Tenant) -> TenantMessage {
    TenantMessage {
        id: tenant.id.dashed(),
        name: tenant.name.to_string(),
        display_name: tenant.display_name.clone(),
        state: state(tenant.status).into(),
        suspended_by: authority(tenant).into(),
        labels: tenant.labels.clone().into_iter().collect(),
        version: tenant.version,
        create_time: Some(timestamp(tenant.created_at)),
        update_time: Some(timestamp(tenant.updated_at)),
        purge_time: tenant.purge_at.map(timestamp),
    }
}

fn state(status: Status) -> TenantState {
    match status {
        Status::Provisioning => TenantState::Provisioning,
        Status::Active => TenantState::Active,
        Status::Suspended => TenantState::Suspended,
        Status::Deprovisioning | Status::Deleted => TenantState::Deprovisioning,
    }
}

fn authority(tenant: &Tenant) -> SuspensionAuthority {
    match tenant.suspended_by.as_ref().map(|suspension| suspension.authority) {
        None => SuspensionAuthority::Unspecified,
        Some(Authority::Platform) => SuspensionAuthority::Platform,
        Some(Authority::Tenant) => SuspensionAuthority::Tenant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_page_size_is_reduced_and_a_negative_one_is_refused() {
        let limit = |size| page_request(size, "").map(|request| request.limit);
        assert_eq!(
            [limit(0).unwrap(), limit(7).unwrap(), limit(501).unwrap(), limit(i32::MAX).unwrap()],
            [50, 7, 500, 500]
        );
        assert_eq!(limit(-1).unwrap_err().violations[0].field, "page_size");
        assert_eq!(page_request(0, "AAAA").unwrap_err().violations[0].field, "page_token");
    }
}
