//! Tenants and how they are found.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;

use super::Status;
use crate::{
    base::{
        Access, Cx, Error, Result, TenantId, TenantName, TenantRef, TenantScope, error::Reason, scope::foreign_tenant,
    },
    store::{Store, Tx, entities::tenants, json, scopes},
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
    /// Who suspended it.
    pub suspended_by: Option<String>,
    /// Grows with every change; who changes it may say which version they read.
    pub version: i64,
    /// Free marks.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

impl TryFrom<tenants::Model> for Tenant {
    type Error = Error;

    fn try_from(row: tenants::Model) -> Result<Self> {
        Ok(Self {
            id: TenantId::from_uuid(row.id),
            name: TenantName::stored(row.name),
            display_name: row.display_name,
            status: row.status.parse()?,
            suspended_by: row.suspended_by,
            version: row.version,
            labels: json::from_text(&row.labels)?,
            created_at: row.created_at.time(),
            updated_at: row.updated_at.time(),
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
    resolve_on(&cx.access, store.read(), reference, false).await
}

/// As [`resolve`] inside a write; nobody else changes the tenant until the write ends.
pub async fn resolve_locked(tx: &Tx, reference: &TenantRef) -> Result<(Tenant, TenantScope)> {
    resolve_on(&tx.cx().access, tx.conn(), reference, true).await
}

/// All tenants but those that are being deleted, oldest first. For platform callers.
pub async fn list(cx: &Cx, store: &Store) -> Result<Vec<Tenant>> {
    if cx.access != Access::Platform {
        return Err(foreign_tenant());
    }
    let rows = tenants::Entity::find()
        .filter(tenants::Column::Status.is_in(Status::PRESENT))
        .order_by_asc(tenants::Column::Id)
        .all(store.read())
        .await?;
    rows.into_iter().map(Tenant::try_from).collect()
}

/// There is no such tenant.
pub fn not_found() -> Error {
    Error::not_found(Reason::TenantNotFound, "there is no such tenant")
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
        (Some(tenant), Some(scope)) if tenant.status.is_present() => Ok((tenant, scope)),
        _ => Err(not_found()),
    }
}
