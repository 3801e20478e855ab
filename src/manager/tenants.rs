//! Tenants as the manager sees them: the registry's, by id, name and age.

use serde_json::{Value, json};

use crate::{
    base::{Cx, Error, Result, TenantName, TenantRef, error::Reason, names::NotAName},
    store::{Pages, Store},
    tenants::{self, NewTenant, Order, Status, Tenant},
};

/// Creates a tenant.
pub async fn create(cx: &Cx, store: &Store, max: Option<u64>, name: &str) -> Result<Tenant> {
    let new = NewTenant::named(tenant_name(name)?);
    store
        .write(cx, "tenant.create", move |tx| {
            let new = new.clone();
            Box::pin(async move {
                let (tenant, _) = tenants::insert(tx, &new, max).await?;
                tx.audit_in(Some(tenant.id), tenant.name.as_str(), Value::Null);
                Ok(tenant)
            })
        })
        .await
}

/// All tenants, newest first.
pub async fn list(cx: &Cx, store: &Store) -> Result<Pages<Tenant>> {
    tenants::list(cx, store, Order::NewestFirst, &Status::PRESENT).await
}

/// A tenant.
pub async fn get(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<Tenant> {
    Ok(tenants::resolve(cx, store, tenant).await?.0)
}

/// Gives the tenant that is `named` so a new name, where there is one.
pub async fn update(cx: &Cx, store: &Store, named: &str, name: Option<&str>) -> Result<()> {
    if named.is_empty() {
        return Err(Error::invalid(Reason::FieldRequired, "id", "the tenant's id is empty"));
    }
    let (tenant, name) = (TenantRef::parse(named), name.map(tenant_name).transpose()?);
    store
        .write(cx, "tenant.update", move |tx| {
            let (tenant, name) = (tenant.clone(), name.clone());
            Box::pin(async move {
                let (before, scope) = tenants::resolve_locked(tx, &tenant).await?;
                let after = match name {
                    Some(name) => tenants::rename(tx, &before, scope, name).await?,
                    None => before.clone(),
                };
                tx.audit_in(Some(after.id), after.name.as_str(), json!({"before": before.name.as_str()}));
                Ok(())
            })
        })
        .await
}

/// Deletes a tenant, unless another surface keeps something for it.
pub async fn delete(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<()> {
    let tenant = tenant.clone();
    store
        .write(cx, "tenant.delete", move |tx| {
            let tenant = tenant.clone();
            Box::pin(async move {
                let (tenant, scope) = tenants::resolve_locked(tx, &tenant).await?;
                tenants::delete(tx, &tenant, scope).await?;
                tx.audit_in(Some(tenant.id), tenant.name.as_str(), Value::Null);
                Ok(())
            })
        })
        .await
}

/// The name of a tenant to be. What is around it is not trimmed: a name is taken as it is given, or not at all.
fn tenant_name(name: &str) -> Result<TenantName> {
    TenantName::plain(name).map_err(|why: NotAName| Error::invalid(Reason::TenantNameInvalid, "name", why.to_string()))
}
