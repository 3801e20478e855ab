//! Which databases of tenants lack migrations.

use sea_orm::{ColumnTrait, DbBackend, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::{
    base::{Access, Cx, Result, TenantId, scope::platform_only},
    store::{
        Fetch, Pages, Store,
        tables::{
            database_is_at, database_is_behind,
            tenants::{Column, Entity, exists},
        },
    },
    tenants::{self, Status},
};

/// The handles of the tenants whose databases do not have the last migration, or that have no database; sorted by their bytes. A caller
/// with access to one tenant sees only that one, and a caller without access to any sees none. None if no migration is known.
pub async fn pending(cx: &Cx, store: &Store, head: Option<&str>) -> Result<Pages<String>> {
    let Some(head) = head.map(str::to_owned) else { return Ok(Pages::whole(Vec::new())) };
    let backend = store.backend();
    if matches!(cx.access, Access::Platform) {
        let query = move |after, limit| pending_query(backend, &head, after).limit(limit).into_tuple::<String>();
        return Pages::read(cx, store, String::clone, query).await;
    }
    let Some(own) = &cx.caller.tenant else { return Ok(Pages::whole(Vec::new())) };
    let query = pending_query(backend, &head, None).filter(Column::Id.eq(own.id));
    Ok(Pages::whole(query.into_tuple::<String>().fetch_all(store.read()).await?))
}

/// The query of [`pending`], after a handle.
pub fn pending_query(backend: DbBackend, head: &str, after: Option<String>) -> Select<Entity> {
    let names = tenants::names_query(backend, &Status::ALL, after);
    names.filter(database_is_at((Entity, Column::Id), head).not())
}

/// The tenants whose databases were provisioned and do not have the last migration, oldest first.
pub(super) async fn behind(cx: &Cx, store: &Store, head: &str) -> Result<Vec<TenantId>> {
    platform_only(&cx.access)?;
    let query = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(exists())
        .filter(database_is_behind((Entity, Column::Id), head))
        .order_by_asc(Column::Id);
    Ok(query.into_tuple::<TenantId>().fetch_all(store.read()).await?)
}
