//! Tenants and how they are found.

use std::collections::BTreeMap;

use sea_orm::{EntityTrait, QueryFilter, QuerySelect};
use time::OffsetDateTime;

use super::{Status, Suspension};
use crate::{
    base::{Access, Cx, Error, Result, TenantId, TenantName, TenantRef, TenantScope, error::Reason},
    store::{
        Count, Db, Kept, Stamp, Store, Tx,
        tables::tenants::{self, ByRef},
        tenant_lookup::{self, may_look_up},
    },
};

/// A tenant of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Never reused.
    pub id: TenantId,
    /// The handle as entered.
    pub name: TenantName,
    pub display_name: String,
    pub status: Status,
    /// Set while it is suspended.
    pub suspended_by: Option<Suspension>,
    /// Incremented by every change, for optimistic concurrency control.
    pub version: i64,
    pub labels: BTreeMap<String, String>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// The end of the grace period, if it was deleted with one.
    pub purge_at: Option<OffsetDateTime>,
}

impl From<tenants::Model> for Tenant {
    fn from(row: tenants::Model) -> Self {
        Self {
            id: row.id,
            name: TenantName::stored(row.name),
            display_name: row.display_name,
            status: row.status,
            suspended_by: row.suspended_by,
            version: row.version,
            labels: row.labels.0,
            created_at: row.created_at.time(),
            updated_at: row.updated_at.time(),
            purge_at: row.purge_at.map(Stamp::time),
        }
    }
}

/// The referenced tenant, in any status. For internal use, such as authentication: callers without access must not see
/// it.
pub async fn find(store: &Store, reference: &TenantRef) -> Result<Option<Tenant>> {
    find_on(store.read(), reference, false).await
}

/// The tenant of a call, if its access includes it, and the proof. Tenants in their grace period are not found.
pub async fn resolve(cx: &Cx, store: &Store, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    present(resolve_on(&cx.access, store.read(), reference, false).await?)
}

/// Only the proof, for reads that need nothing else of the tenant. The caller's own tenant is not looked up again:
/// authentication did so in this same call. If it was deleted in between, the read behaves as if it had come earlier,
/// or finds no rows.
pub async fn reach(cx: &Cx, store: &Store, reference: &TenantRef) -> Result<TenantScope> {
    match scope_of_caller(cx, reference) {
        Some(scope) => Ok(scope),
        None => Ok(resolve(cx, store, reference).await?.1),
    }
}

/// The proof for the caller's own tenant, if the reference means it and the call may access it.
fn scope_of_caller(cx: &Cx, reference: &TenantRef) -> Option<TenantScope> {
    let own = cx.caller.tenant.as_ref().filter(|own| reference.names(own.id, &own.key))?;
    TenantScope::grant(&cx.access, own.id, &own.key).ok()
}

/// Like [`resolve`] in a write; the tenant is locked until the write ends.
pub async fn resolve_locked(tx: &Tx, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    present(resolve_on(&tx.cx().access, tx.conn(), reference, true).await?)
}

/// Like [`resolve`], but also finds a tenant in its grace period.
pub async fn resolve_any(cx: &Cx, store: &Store, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    resolve_on(&cx.access, store.read(), reference, false).await
}

/// Like [`resolve_locked`], but also finds a tenant in its grace period.
pub async fn resolve_any_locked(tx: &Tx, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    resolve_on(&tx.cx().access, tx.conn(), reference, true).await
}

/// The number of tenants in any status, including deleted ones during their grace period.
pub async fn count(store: &Store) -> Result<u64> {
    Ok(tenants::Entity::find().filter(tenants::exists()).fetch_count(store.read()).await?)
}

fn present((tenant, scope): (Tenant, TenantScope)) -> Result<(Tenant, TenantScope)> {
    if tenant.status.is_present() { Ok((tenant, scope)) } else { Err(not_found()) }
}

pub fn not_found() -> Error {
    Error::not_found(Reason::TenantNotFound, "tenant not found")
}

async fn find_on(conn: &impl Db, reference: &TenantRef, lock: bool) -> Result<Option<Tenant>> {
    static TEXTS: [Kept; 3] = [const { Kept::new() }; 3];
    static LOCKING: [Kept; 3] = [const { Kept::new() }; 3];
    let Some(by) = ByRef::of(reference) else { return Ok(None) };
    let (text, values) = by.kept(if lock { &LOCKING } else { &TEXTS });
    // SQLite has one writer and needs no lock; its dialect omits the clause.
    let query = || if lock { by.select().lock_exclusive() } else { by.select() };
    Ok(text.fetch_one(conn, values, || query().into_model::<tenants::Model>()).await?.map(Tenant::from))
}

async fn resolve_on(
    access: &Access,
    conn: &impl Db,
    reference: &TenantRef,
    lock: bool,
) -> Result<(Tenant, TenantScope)> {
    may_look_up(access, reference)?;
    let found = find_on(conn, reference, lock).await?;
    let key = found.as_ref().map(|tenant| (tenant.id, tenant.name.key()));
    let scope = tenant_lookup::reach(access, reference, key.as_ref().map(|(id, key)| (*id, key.as_str())))?;
    match (found, scope) {
        (Some(tenant), Some(scope)) => Ok((tenant, scope)),
        _ => Err(not_found()),
    }
}
