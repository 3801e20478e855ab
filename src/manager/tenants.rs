//! The tenants of the manager surface: those of the registry, by id, name and age.

use serde_json::{Value, json};

use super::measures;

use crate::{
    base::{Cx, Error, Result, TenantName, TenantRef, error::Reason, names::NotAName},
    store::{ChangeKind, Pages, Store, Tx},
    tenants::{self, NewTenant, Order, Status, Tenant},
};

/// Creates a tenant.
pub async fn create(cx: &Cx, store: &Store, max: Option<u64>, name: &str) -> Result<Tenant> {
    let tenant = store.write(cx, (NewTenant::named(tenant_name(name)?), max), insert).await?;
    measures::created("tenant");
    Ok(tenant)
}

async fn insert(tx: &Tx, (new, max): &(NewTenant, Option<u64>)) -> Result<Tenant> {
    let (tenant, _) = tenants::insert(tx, new, *max).await?;
    tenants::record(tx, ChangeKind::Created, &tenant, Value::Null);
    Ok(tenant)
}

/// All tenants, newest first.
pub async fn list(cx: &Cx, store: &Store) -> Result<Pages<Tenant>> {
    tenants::list(cx, store, Order::NewestFirst, &Status::PRESENT).await
}

pub async fn get(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<Tenant> {
    Ok(tenants::resolve(cx, store, tenant).await?.0)
}

/// Renames the tenant `named`, if a name is given.
pub async fn update(cx: &Cx, store: &Store, named: &str, name: Option<&str>) -> Result<()> {
    if named.is_empty() {
        return Err(Error::invalid(Reason::FieldRequired, "id", "the tenant's id is empty"));
    }
    store.write(cx, (TenantRef::parse(named), name.map(tenant_name).transpose()?), rename).await
}

async fn rename(tx: &Tx, (tenant, name): &(TenantRef, Option<TenantName>)) -> Result<()> {
    let (before, scope) = tenants::resolve_locked(tx, tenant).await?;
    let after = match name {
        Some(name) => tenants::rename(tx, &before, scope, name.clone()).await?,
        None => before.clone(),
    };
    tenants::record_update(tx, &before, &after, json!({"before": before.name.as_str()}));
    Ok(())
}

/// Deletes a tenant, unless another surface has data of it.
pub async fn delete(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<()> {
    store.write(cx, tenant.clone(), remove).await
}

async fn remove(tx: &Tx, tenant: &TenantRef) -> Result<()> {
    let (tenant, scope) = tenants::resolve_locked(tx, tenant).await?;
    tenants::delete(tx, &tenant, scope).await?;
    tenants::record(tx, ChangeKind::Deleted, &tenant, Value::Null);
    Ok(())
}

/// The name of a new tenant. It is not trimmed: a name is accepted exactly as given, or refused.
fn tenant_name(name: &str) -> Result<TenantName> {
    TenantName::plain(name).map_err(|why: NotAName| Error::invalid(Reason::TenantNameInvalid, "name", why.to_string()))
}
