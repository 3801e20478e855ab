//! Tenants and how they are found.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, QuerySelect};
use time::OffsetDateTime;

use super::{Status, Suspension, lists};
use crate::{
    base::{
        Access, Cx, Error, Page, PageRequest, Result, TenantId, TenantName, TenantRef, TenantScope, error::Reason,
        scope::platform_only,
    },
    store::{Stamp, Store, Tx, entities::tenants, json, page::page as rows_of_page, scopes},
};

/// A tenant of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id, never reused.
    pub id: TenantId,
    /// Its handle, as it was given.
    pub name: TenantName,
    /// Its name for people.
    pub display_name: String,
    /// Where it stands.
    pub status: Status,
    /// Who suspended it, as long as it is suspended.
    pub suspended_by: Option<Suspension>,
    /// Grows with every change; who changes it may say which version they read.
    pub version: i64,
    /// Free marks.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// When it is gone for good, where it was deleted with a time of grace.
    pub purge_at: Option<OffsetDateTime>,
}

impl TryFrom<tenants::Model> for Tenant {
    type Error = Error;

    fn try_from(row: tenants::Model) -> Result<Self> {
        Ok(Self {
            id: TenantId::from_uuid(row.id),
            name: TenantName::stored(row.name),
            display_name: row.display_name,
            status: row.status.parse()?,
            suspended_by: row.suspended_by.map(|by| by.parse()).transpose()?,
            version: row.version,
            labels: json::from_text(&row.labels)?,
            created_at: row.created_at.time(),
            updated_at: row.updated_at.time(),
            purge_at: row.purge_at.map(Stamp::time),
        })
    }
}

/// The tenant that a reference names, in whatever status. For the server's own needs, such as telling who calls: what
/// it finds must not reach a caller that has no access to it.
pub async fn find(store: &Store, reference: &TenantRef) -> Result<Option<Tenant>> {
    find_on(store.read(), reference, false).await
}

/// The tenant that a call names, if its access covers it, and the proof. Tenants that are being deleted are missing.
pub async fn resolve(cx: &Cx, store: &Store, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    present(resolve_on(&cx.access, store.read(), reference, false).await?)
}

/// The proof alone, for reads that need nothing else of the tenant. The caller's own tenant is not looked for again:
/// authentication found it present a moment ago, in this very call. If it went in between, the read is answered as one that
/// came before, or finds no rows.
pub async fn reach(cx: &Cx, store: &Store, reference: &TenantRef) -> Result<TenantScope> {
    match scope_of_caller(cx, reference) {
        Some(scope) => Ok(scope),
        None => Ok(resolve(cx, store, reference).await?.1),
    }
}

/// The proof for the caller's own tenant, if the reference names that and the call may reach it.
fn scope_of_caller(cx: &Cx, reference: &TenantRef) -> Option<TenantScope> {
    let own = cx.caller.tenant.as_ref().filter(|own| reference.names(own.id, &own.key))?;
    TenantScope::grant(&cx.access, own.id, &own.key).ok()
}

/// As [`resolve`] inside a write; nobody else changes the tenant until the write ends.
pub async fn resolve_locked(tx: &Tx, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    present(resolve_on(&tx.cx().access, tx.conn(), reference, true).await?)
}

/// As [`resolve`], but finds a tenant in its time of grace too.
pub async fn resolve_any(cx: &Cx, store: &Store, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    resolve_on(&cx.access, store.read(), reference, false).await
}

/// As [`resolve_locked`], but finds a tenant in its time of grace too.
pub async fn resolve_any_locked(tx: &Tx, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    resolve_on(&tx.cx().access, tx.conn(), reference, true).await
}

/// A page of the tenants in one of these statuses, oldest first. For platform callers.
pub async fn page(cx: &Cx, store: &Store, statuses: &[Status], request: PageRequest) -> Result<Page<Tenant>> {
    platform_only(&cx.access)?;
    let query = lists::within(statuses);
    let (rows, total) = rows_of_page(query, tenants::Column::Id, request, store.read()).await?;
    let rows = rows.into_iter().map(Tenant::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(request, rows, total, |tenant| tenant.id.uuid()))
}

/// How many tenants there are, in whatever status.
pub async fn count(store: &Store) -> Result<u64> {
    Ok(tenants::Entity::find().count(store.read()).await?)
}

fn present((tenant, scope): (Tenant, TenantScope)) -> Result<(Tenant, TenantScope)> {
    if tenant.status.is_present() { Ok((tenant, scope)) } else { Err(not_found()) }
}

/// There is no such tenant.
pub fn not_found() -> Error {
    Error::not_found(Reason::TenantNotFound, "tenant not found")
}

async fn find_on(conn: &impl ConnectionTrait, reference: &TenantRef, lock: bool) -> Result<Option<Tenant>> {
    let Some(mut query) = tenants::Entity::find_by_ref(reference) else { return Ok(None) };
    if lock {
        // SQLite has one writer and needs no lock; its dialect leaves the clause out.
        query = query.lock_exclusive();
    }
    query.one(conn).await?.map(Tenant::try_from).transpose()
}

async fn resolve_on(
    access: &Access,
    conn: &impl ConnectionTrait,
    reference: &TenantRef,
    lock: bool,
) -> Result<(Tenant, TenantScope)> {
    scopes::may_look_up(access, reference)?;
    let found = find_on(conn, reference, lock).await?;
    let key = found.as_ref().map(|tenant| (tenant.id, tenant.name.key()));
    let scope = scopes::reach(access, reference, key.as_ref().map(|(id, key)| (*id, key.as_str())))?;
    match (found, scope) {
        (Some(tenant), Some(scope)) => Ok((tenant, scope)),
        _ => Err(not_found()),
    }
}
