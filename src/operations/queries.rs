//! Reading operations.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, IntoColumnRef, Query, SimpleExpr},
};
use uuid::Uuid;

use super::{Operation, OperationKind, State};
use crate::{
    base::{Access, Cx, Error, Page, PageRequest, Result, TenantId, TenantRef, error::Reason, scope::foreign_tenant},
    store::{
        Count, Db, Fetch, Store, Tx,
        tables::operations::{Column, Entity, Model},
    },
};

/// The filter of a list. An unset field matches all operations.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A caller with access to one tenant may leave this unset or name that tenant.
    pub tenant: Option<TenantId>,
    pub state: Option<State>,
    pub kind: Option<String>,
}

/// An operation. Fails with NOT_FOUND if it does not exist or the call has no access to it.
pub async fn get(cx: &Cx, store: &Store, id: Uuid) -> Result<Operation> {
    let operation = find(store, id).await?.ok_or_else(not_found)?;
    check_reach(cx, &operation)?;
    Ok(operation)
}

/// A page of operations, newest first.
pub async fn list(cx: &Cx, store: &Store, filter: &Filter, request: PageRequest) -> Result<Page<Operation>> {
    let own = match &cx.access {
        Access::Platform => filter.tenant,
        Access::Tenant(_) => Some(own_tenant(cx).ok_or_else(foreign_tenant)?),
        Access::None => return Err(foreign_tenant()),
    };
    if filter.tenant.is_some() && filter.tenant != own {
        return Err(foreign_tenant());
    }
    let wanted = Condition::all()
        .add_option(own.map(|tenant| Column::TenantId.eq(tenant.uuid())))
        .add_option(filter.state.map(|state| Column::State.eq(state.as_str())))
        .add_option(filter.kind.as_deref().map(|kind| Column::Kind.eq(kind)));
    let query = Entity::find().filter(wanted);
    let total = match request.total {
        Some(counted) => counted,
        None => query.clone().fetch_count(store.read()).await?,
    };
    let after = Condition::all().add_option(request.after.map(|id| Column::Id.lt(id)));
    let rows = query.filter(after).order_by_desc(Column::Id).limit(request.rows()).fetch_all(store.read()).await?;
    let Page { items, next, total } = Page::cut(request, rows, total, |row| row.id);
    Ok(Page { items: items.into_iter().filter_map(readable).collect(), next, total })
}

/// The operation of a kind on a tenant that has not ended, in a write that has locked the tenant.
pub async fn live<K: OperationKind>(tx: &Tx, tenant: TenantId) -> Result<Option<Uuid>> {
    live_named(tx.conn(), K::NAME, tenant).await
}

/// As [`live`], for a kind of an area that the caller does not know.
pub async fn live_named(conn: &impl Db, kind: &str, tenant: TenantId) -> Result<Option<Uuid>> {
    let live = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::Kind.eq(kind))
        .filter(Column::EndedAt.is_null())
        .order_by_asc(Column::Id);
    Ok(live.fetch_one(conn).await?.map(|row| row.id))
}

/// The SQL condition that the tenant with the id in a column has an operation of a kind that has not ended.
pub fn has_live<K: OperationKind>(tenant: impl IntoColumnRef) -> SimpleExpr {
    let live = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Expr::col((Entity, Column::TenantId)).equals(tenant))
        .and_where(Expr::col((Entity, Column::Kind)).eq(K::NAME))
        .and_where(Expr::col((Entity, Column::EndedAt)).is_null())
        .take();
    Expr::exists(live)
}

/// The operation of a row. Lists omit unreadable ones, such as those with a state of a newer version, so that the others remain
/// visible.
fn readable(row: Model) -> Option<Operation> {
    let id = row.id;
    let read = Operation::try_from(row);
    read.inspect_err(|error| {
        tracing::warn!(operation = %id, cause = ?error.cause, "cannot read an operation; a list omits it");
    })
    .ok()
}

/// An operation, without a check of access.
pub(super) async fn find(store: &Store, id: Uuid) -> Result<Option<Operation>> {
    Entity::find_by_id(id).fetch_one(store.read()).await?.map(Operation::try_from).transpose()
}

/// Fails with NOT_FOUND if the call has no access to an operation. Callers of a tenant have access to the operations of their
/// tenant.
pub(super) fn check_reach(cx: &Cx, operation: &Operation) -> Result<()> {
    let has_access = match &cx.access {
        Access::Platform => true,
        Access::Tenant(_) => own_tenant(cx).is_some_and(|own| operation.tenant == Some(own)),
        Access::None => false,
    };
    if has_access { Ok(()) } else { Err(not_found()) }
}

/// The one tenant to which the call has access.
fn own_tenant(cx: &Cx) -> Option<TenantId> {
    match &cx.access {
        Access::Tenant(TenantRef::Id(id)) => Some(*id),
        _ => cx.caller.tenant.as_ref().map(|tenant| tenant.id),
    }
}

pub fn not_found() -> Error {
    Error::not_found(Reason::OperationNotFound, "operation not found")
}
