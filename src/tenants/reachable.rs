//! The tenants that a call can reach, in every status: all of them for the platform, their own for callers of a tenant.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Tenant, not_found};
use crate::{
    base::{Access, Cx, Page, PageRequest, Result, TenantId, TenantRef, error::Reason},
    store::{
        Store,
        tables::tenants::{Column, Entity, Model, each, exists},
    },
    streams::WatchScope,
};

/// A page of the tenants that the call can reach, oldest first. Its `total` is not counted.
pub async fn reachable_page(cx: &Cx, store: &Store, request: PageRequest) -> Result<Page<Tenant>> {
    let rows = match &cx.access {
        Access::Platform => {
            let rows = rows_after(store, request.after.map(TenantId::from_uuid), request.rows()).await?;
            rows.into_iter().map(|(_, row)| Ok(row?.into())).collect::<Result<_>>()?
        }
        Access::Tenant(own) => own_after(cx, store, own, request).await?,
        Access::None => return Err(not_found()),
    };
    Ok(Page::cut(request, rows, 0, |tenant| tenant.id.uuid()))
}

/// The id of a tenant of the call that may have been purged, for what outlives it. Fails with NOT_FOUND for a name that no tenant has.
pub async fn present_or_past(cx: &Cx, store: &Store, reference: &TenantRef) -> Result<TenantId> {
    match (super::resolve_any(cx, store, reference).await, reference) {
        (Ok((tenant, _)), _) => Ok(tenant.id),
        // Ids are never reused.
        (Err(error), TenantRef::Id(id) | TenantRef::Either(id, _)) if error.reason == Reason::TenantNotFound => Ok(*id),
        (Err(error), _) => Err(error),
    }
}

/// The scope of a watch of the call.
pub async fn watchable(cx: &Cx, store: &Store) -> Result<WatchScope> {
    let own = match &cx.access {
        Access::Tenant(own) => Some(super::resolve_any(cx, store, own).await?.1),
        Access::Platform | Access::None => None,
    };
    WatchScope::of(&cx.access, own)
}

/// The rows of at most `limit` tenants after one, by id.
pub(super) async fn rows_after(
    store: &Store,
    after: Option<TenantId>,
    limit: u64,
) -> Result<Vec<(TenantId, Result<Model>)>> {
    let after = after.map(|id| Column::Id.gt(id));
    let query = Entity::find()
        .filter(exists())
        .filter(Condition::all().add_option(after))
        .order_by_asc(Column::Id)
        .limit(limit);
    each(query, store.read()).await
}

/// The caller's own tenant, unless the page begins after it.
async fn own_after(cx: &Cx, store: &Store, own: &TenantRef, request: PageRequest) -> Result<Vec<Tenant>> {
    let (tenant, _) = super::resolve_any(cx, store, own).await?;
    let is_listed = request.after.is_none_or(|after| tenant.id.uuid() > after);
    Ok(is_listed.then_some(tenant).into_iter().collect())
}
