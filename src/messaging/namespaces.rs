//! Namespaces: the divisions of a tenant. One of them is enough to protect the tenant from deletion.

use serde_json::json;

use super::{MessagingSettings, rules};
use crate::{
    base::{Cx, Error, Result, TenantName, TenantRef, Worded, error::Reason, words::quoted},
    store::{OutboxEvent, Store, Tx, scopes::NamespaceRow},
    tenants::{self, Tenant},
};

/// The full names (`tenant/namespace`) of a tenant's namespaces, sorted.
pub async fn list(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<Vec<String>> {
    if let TenantRef::Name(name) = tenant
        && name.parse::<TenantName>().is_err()
    {
        return Err(Error::invalid(Reason::TenantNameInvalid, "tenant", "Tenant name is not valid"));
    }
    let (tenant, scope) =
        tenants::resolve(cx, store, tenant).await.worded(Reason::TenantNotFound, "Tenant not found")?;
    let namespaces = store.tenant(scope).namespaces().await?;
    let mut names: Vec<_> = namespaces.iter().map(|namespace| full_name(&tenant, &namespace.name)).collect();
    rules::sort_utf16(&mut names);
    Ok(names)
}

/// Creates a namespace. Checks, in this order: the name, the tenant, that the clusters exist and that the tenant may
/// use them, and that the tenant has no namespace of that name.
pub async fn create(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    name: &str,
    replication_clusters: &[String],
) -> Result<()> {
    rules::namespace_name(name)?;
    let clusters = rules::bounded(replication_clusters)?;
    let known = store.cluster_names().await?;
    let (tenant, name) = (tenant.clone(), name.to_owned());
    store
        .write(cx, "namespace.create", move |tx| {
            let (tenant, name, clusters, known) = (tenant.clone(), name.clone(), clusters.clone(), known.clone());
            Box::pin(async move { insert(tx, &tenant, name, clusters, &known).await })
        })
        .await
        .worded(Reason::TenantNotFound, "Tenant not found")
        .worded(Reason::NamespaceExists, "Namespace already exists")
}

/// Adds a namespace. The tenant is locked, so that it can neither go nor lose a cluster meanwhile.
pub(super) async fn insert(
    tx: &Tx,
    tenant: &TenantRef,
    name: String,
    replication_clusters: Vec<String>,
    known: &[String],
) -> Result<()> {
    let (tenant, scope) = tenants::resolve_locked(tx, tenant).await?;
    if let Some(unknown) = replication_clusters.iter().find(|cluster| !known.contains(cluster)) {
        let text = format!("Cluster {} does not exist", quoted(unknown));
        return Err(Error::not_found(Reason::ClustersUnknown, text));
    }
    let rows = tx.tenant(scope);
    if let Some(facet) = rows.messaging().await?
        && let Some(cluster) = replication_clusters.iter().find(|cluster| !facet.allowed_clusters.contains(cluster))
    {
        let name = &tenant.name;
        let text = format!("Cluster [{cluster}] is not in the list of allowed clusters list for tenant [{name}]");
        return Err(Error::precondition(Reason::ClusterNotAllowed, text));
    }
    let namespace = NamespaceRow { id: tx.new_id(), name, replication_clusters, created_at: tx.now() };
    rows.insert_namespace(&namespace).await?;
    let details = json!({"replication_clusters": namespace.replication_clusters});
    tx.audit_in(Some(tenant.id), full_name(&tenant, &namespace.name), details);
    emit(tx, &tenant, &namespace.name, "created");
    Ok(())
}

/// Deletes a namespace. It holds nothing that this server knows of, so `force` only asks the configuration.
pub async fn delete(
    cx: &Cx,
    store: &Store,
    settings: &MessagingSettings,
    named: &str,
    name: &str,
    force: bool,
) -> Result<()> {
    if force && !settings.force_delete {
        let text = "Broker doesn't allow forced deletion of namespaces";
        return Err(Error::precondition(Reason::ForceDeleteForbidden, text));
    }
    let missing = || {
        let (tenant, name) = (quoted(named), quoted(name));
        Error::not_found(Reason::NamespaceNotFound, format!("Namespace {tenant}/{name} does not exist."))
    };
    if !rules::is_entity_name(name) {
        return Err(missing());
    }
    let (tenant, owned) = (TenantRef::parse(named), name.to_owned());
    let deleted = store
        .write(cx, "namespace.delete", move |tx| {
            let (tenant, name) = (tenant.clone(), owned.clone());
            Box::pin(async move { remove(tx, &tenant, &name).await })
        })
        .await;
    deleted.map_err(|error| match error.reason {
        Reason::TenantNotFound | Reason::NamespaceNotFound => missing(),
        _ => error,
    })
}

async fn remove(tx: &Tx, tenant: &TenantRef, name: &str) -> Result<()> {
    let (tenant, scope) = tenants::resolve_locked(tx, tenant).await?;
    if !tx.tenant(scope).delete_namespace(name).await? {
        return Err(Error::not_found(Reason::NamespaceNotFound, "there is no such namespace"));
    }
    tx.audit_in(Some(tenant.id), full_name(&tenant, name), serde_json::Value::Null);
    emit(tx, &tenant, name, "deleted");
    Ok(())
}

pub(super) fn emit(tx: &Tx, tenant: &Tenant, name: &str, change: &str) {
    tx.emit(OutboxEvent {
        topic: "namespace".into(),
        tenant: Some(tenant.id),
        key: full_name(tenant, name),
        payload: json!({"change": change}),
    });
}

fn full_name(tenant: &Tenant, namespace: &str) -> String {
    format!("{}/{namespace}", tenant.name)
}
