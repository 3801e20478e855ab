//! The tenants of the messaging surface: those of the registry, with admin roles and allowed clusters.

use serde_json::json;

use super::{
    MessagingSettings,
    cluster_names::{cluster_names, cluster_names_in},
    clusters, lookup,
    rules::{self, InfoInput, TenantInfo},
};
use crate::{
    base::{Cx, Error, Result, TenantId, TenantName, TenantRef, Worded, error::Reason, words::quoted},
    store::{ChangeKind, Pages, Store, Tx},
    tenants::{self, NewTenant, Status, TenantChange},
};

/// Most namespaces that the audit event of a deletion names. Each has an outbox event of its own.
const RECORDED: u64 = 100;

/// A tenant's settings and the version that they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantView {
    pub info: TenantInfo,
    /// Version of the tenant.
    pub version: i64,
}

/// The names of all tenants, sorted by UTF-16 code unit: names are ASCII, for which that is the order of bytes.
pub async fn list(cx: &Cx, store: &Store) -> Result<Pages<String>> {
    tenants::names(cx, store, &Status::PRESENT).await
}

/// The settings of a tenant. A tenant of another surface has no admin roles and every cluster.
pub async fn get(cx: &Cx, store: &Store, named: &str) -> Result<TenantView> {
    let missing = || Error::not_found(Reason::TenantNotFound, "Tenant does not exist");
    let found = store.tenant_with_messaging(&cx.access, &TenantRef::parse(named)).await?;
    let (_, tenant, settings) = found.ok_or_else(missing)?;
    if !lookup::names(named, &tenant.name) || !tenant.status.is_present() {
        return Err(missing());
    }
    let info = match settings {
        Some(row) => TenantInfo { admin_roles: row.admin_roles.0, allowed_clusters: row.allowed_clusters.0 },
        None => TenantInfo { admin_roles: Vec::new(), allowed_clusters: clusters::all(store).await? },
    };
    Ok(TenantView { info, version: tenant.version })
}

/// Creates a tenant. Checks, in this order: the name, the clusters, the admin roles, that no tenant has the name
/// (ignoring case), and the limit.
pub async fn create(
    cx: &Cx,
    store: &Store,
    settings: &MessagingSettings,
    name: &str,
    info: Option<&InfoInput>,
) -> Result<TenantId> {
    let name = rules::tenant_name(name)?;
    let info = checked(info, &cluster_names(store).await?)?;
    let new = (name, info, settings.max_tenants);
    store
        .write(cx, new, async |tx: &Tx, (name, info, max): &(TenantName, TenantInfo, _)| {
            insert(tx, name.clone(), info, *max).await
        })
        .await
        .worded(Reason::TenantExists, "Tenant already exist")
        .worded(Reason::TenantLimitReached, "Exceed the maximum number of tenants")
}

/// Adds a tenant with its settings.
pub(super) async fn insert(tx: &Tx, name: TenantName, info: &TenantInfo, max: Option<u64>) -> Result<TenantId> {
    let (tenant, scope) = tenants::insert(tx, &NewTenant::named(name), max).await?;
    tx.tenant(scope).messaging().insert(&info.admin_roles, &info.allowed_clusters).await?;
    tenants::record(tx, ChangeKind::Created, &tenant, details(info));
    Ok(tenant.id)
}

/// Replaces the settings of a tenant and returns the new version. Checks the settings before it looks up the tenant
/// `named`; clusters that were deleted after the tenant was allowed to use them may stay. With a version, fails if the
/// tenant has another one.
pub async fn update(
    cx: &Cx,
    store: &Store,
    named: &str,
    info: Option<&InfoInput>,
    version: Option<i64>,
) -> Result<i64> {
    let mut allowed = clusters::all(store).await?;
    if !rules::clusters_named(info)?.iter().all(|cluster| allowed.contains(cluster)) {
        // A tenant that does not exist allows no other clusters.
        let settings = store.tenant_with_messaging(&cx.access, &TenantRef::parse(named)).await?;
        allowed.extend(settings.and_then(|found| found.2).map(|row| row.allowed_clusters.0).unwrap_or_default());
    }
    let info = checked(info, &allowed)?;
    store
        .write(cx, (named.to_owned(), info, version), replace)
        .await
        .worded(Reason::VersionStale, "Concurrent modification")
        .worded(Reason::TenantNotFound, format!("Tenant {} not found", quoted(named)))
}

async fn replace(tx: &Tx, (named, info, version): &(String, TenantInfo, Option<i64>)) -> Result<i64> {
    let (_, scope) = lookup::resolve_locked(tx, named).await?;
    let tenant = tenants::update(tx, scope, *version, &TenantChange::default()).await?;
    let rows = tx.tenant(scope);
    // Read while the tenant is locked: namespaces that were created on a cluster before the lock are included, and no
    // new ones can be created until the write ends.
    let every = cluster_names_in(tx).await?;
    let settings = rows.messaging().get().await?;
    let mut before = settings.map_or_else(|| every.clone(), |row| row.allowed_clusters.0);
    // A deleted cluster has no namespaces, so its name may be removed too.
    before.retain(|cluster| every.contains(cluster));
    let namespaces = rows.namespaces().all().await?;
    let used = namespaces.iter().map(|namespace| (namespace.name.as_str(), namespace.replication_clusters.as_slice()));
    rules::clusters_free(tenant.name.as_str(), &before, &info.allowed_clusters, used)?;
    rows.messaging().put(&info.admin_roles, &info.allowed_clusters).await?;
    tenants::record(tx, ChangeKind::Updated, &tenant, details(info));
    Ok(tenant.version)
}

/// Deletes a tenant. With `force` its namespaces are deleted too, if the configuration allows that; otherwise they
/// prevent it.
pub async fn delete(cx: &Cx, store: &Store, settings: &MessagingSettings, named: &str, force: bool) -> Result<()> {
    if force && !settings.force_delete {
        let text = "Broker doesn't allow forced deletion of tenants";
        return Err(Error::precondition(Reason::ForceDeleteForbidden, text));
    }
    store.write(cx, (named.to_owned(), force), remove).await.worded(Reason::TenantNotFound, "Tenant doesn't exist")
}

async fn remove(tx: &Tx, (named, force): &(String, bool)) -> Result<()> {
    let (tenant, scope) = lookup::resolve_locked(tx, named).await?;
    let namespaces = tx.tenant(scope).namespaces().some_names(RECORDED).await?;
    if !force && !namespaces.is_empty() {
        return Err(Error::precondition(Reason::TenantInUse, "The tenant still has active namespaces"));
    }
    tenants::delete_with(tx, &tenant, scope, &["namespaces"]).await?;
    tenants::record(tx, ChangeKind::Deleted, &tenant, json!({"force": force, "namespaces": namespaces}));
    Ok(())
}

/// The referenced tenant if a token subject is one of its admin roles. The guard calls this before the call has an
/// access. It is a single query in any case, so that its duration does not reveal whether the tenant exists. A
/// suspended tenant admits only the platform, whatever the credential. The empty subject administers nothing.
pub async fn administered(store: &Store, tenant: &TenantRef, subject: &str) -> Result<Option<TenantId>> {
    if subject.is_empty() {
        return Ok(None);
    }
    let admitting: Vec<_> = Status::ALL.into_iter().filter(|status| status.admits()).collect();
    let found = store.messaging_admin_roles(tenant, &admitting).await?;
    Ok(found.filter(|(_, roles)| roles.iter().any(|role| role == subject)).map(|(id, _)| id))
}

/// The settings, validated in the order of the contract: clusters first, then admin roles. `allowed` are the clusters
/// that they may name.
///
/// The existence of the clusters is checked outside of the write, so that it does not occupy SQLite's only writer: a
/// cluster may be deleted at any time after the check anyway, and the tenant keeps its name then.
fn checked(info: Option<&InfoInput>, allowed: &[String]) -> Result<TenantInfo> {
    let allowed_clusters = rules::clusters_named(info)?;
    rules::clusters_exist(&allowed_clusters, allowed)?;
    let admin_roles = info.map_or(Ok(Vec::new()), rules::admin_roles)?;
    Ok(TenantInfo { admin_roles, allowed_clusters })
}

fn details(info: &TenantInfo) -> serde_json::Value {
    json!({"admin_roles": info.admin_roles, "allowed_clusters": info.allowed_clusters})
}
