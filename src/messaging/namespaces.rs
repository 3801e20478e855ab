//! Namespaces: the divisions of a tenant. A tenant with a namespace cannot be deleted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{MessagingSettings, cluster_names::cluster_names, lookup, policies, policies::NamespacePolicies, rules};
use crate::{
    base::{Cx, Error, Result, Worded, error::Reason, words::quoted},
    store::{Change, ChangeKind, Pages, Resource, Store, Tx, columns::Json, json, tables::NamespaceRow},
    tenants::Tenant,
};

/// The full names (`tenant/namespace`) of the namespaces of the tenant `named`, sorted.
pub async fn list(cx: &Cx, store: &Store, named: &str) -> Result<Pages<String>> {
    if !lookup::is_possible(named) {
        return Err(Error::invalid(Reason::TenantNameInvalid, "tenant", "Tenant name is not valid"));
    }
    let (tenant, scope) = lookup::resolve(cx, store, named).await.worded(Reason::TenantNotFound, "Tenant not found")?;
    let names = store.namespace_names(cx, scope).await?;
    Ok(names.map(move |name| full_name(&tenant, &name)))
}

/// All policies of a namespace.
pub async fn get(cx: &Cx, store: &Store, named: &str, name: &str) -> Result<NamespacePolicies> {
    check_names(named, name)?;
    let missing = "Namespace does not exist";
    let (_, scope) = lookup::resolve(cx, store, named).await.worded(Reason::TenantNotFound, missing)?;
    let row = store.tenant(scope).namespaces().named(name).await?;
    policies::to_proto(&row.ok_or_else(|| Error::not_found(Reason::NamespaceNotFound, missing))?)
}

/// Creates a namespace. Checks, in this order: the names, the policies, the tenant, that the tenant may use the
/// clusters, and that it has no namespace with this name.
pub async fn create(cx: &Cx, store: &Store, named: &str, name: &str, policies: &NamespacePolicies) -> Result<()> {
    check_names(named, name)?;
    let policies = policies::checked(&format!("{named}/{name}"), policies)?;
    let known = cluster_names(store).await?;
    let new = (named.to_owned(), name.to_owned(), policies, known);
    store
        .write(cx, new, async |tx: &Tx, (named, name, policies, known): &(String, String, _, Arc<Vec<String>>)| {
            insert(tx, named, name, policies, known).await
        })
        .await
        .worded(Reason::TenantNotFound, "Tenant does not exist")
        .worded(Reason::NamespaceExists, "Namespace already exists")
}

/// Adds a namespace with validated policies. The tenant is locked, so that it can neither be deleted nor lose a cluster
/// in the meantime. `known` are the existing clusters.
pub(super) async fn insert(
    tx: &Tx,
    named: &str,
    name: &str,
    policies: &NamespacePolicies,
    known: &[String],
) -> Result<()> {
    let (tenant, scope) = lookup::resolve_locked(tx, named).await?;
    let rows = tx.tenant(scope);
    let settings = rows.messaging().get().await?;
    let allowed = settings.map_or_else(|| known.to_vec(), |settings| settings.allowed_clusters.0);
    let replication_clusters = policies::replication_clusters(tenant.name.as_str(), policies, &allowed, known)?;
    let policies = policies::to_text(policies)?;
    let given: Value = json::from_text(&policies)?;
    let details = json!({"replication_clusters": replication_clusters, "policies": given});
    let namespace = NamespaceRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        name: name.to_owned(),
        replication_clusters: Json(replication_clusters),
        policies,
        created_at: tx.now().into(),
    };
    rows.namespaces().insert(namespace).await?;
    tx.changed(change(&tenant, name, ChangeKind::Created), full_name(&tenant, name), details);
    Ok(())
}

/// Deletes a namespace. This server does not know its contents; `force` deletes one that is on several clusters, unless
/// the configuration forbids it.
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
    check_names(named, name)?;
    let deleted = store.write(cx, (named.to_owned(), name.to_owned(), force), remove).await;
    let missing = format!("Namespace {}/{} does not exist.", quoted(named), quoted(name));
    deleted.map_err(|error| match error.reason {
        Reason::TenantNotFound | Reason::NamespaceNotFound => Error::not_found(Reason::NamespaceNotFound, missing),
        _ => error,
    })
}

async fn remove(tx: &Tx, (named, name, force): &(String, String, bool)) -> Result<()> {
    let missing = || Error::not_found(Reason::NamespaceNotFound, "there is no such namespace");
    let (tenant, scope) = lookup::resolve_locked(tx, named).await?;
    let rows = tx.tenant(scope).namespaces();
    let row = rows.named(name).await?.ok_or_else(missing)?;
    if row.replication_clusters.len() > 1 && !*force {
        let text = format!(
            "Cannot delete the global namespace {}. There are still more than one replication clusters configured or \
             replication clusters is empty.",
            full_name(&tenant, name)
        );
        return Err(Error::precondition(Reason::NamespaceReplicated, text));
    }
    if !rows.delete(name).await? {
        return Err(missing());
    }
    tx.changed(change(&tenant, name, ChangeKind::Deleted), full_name(&tenant, name), json!({"force": force}));
    Ok(())
}

/// A change of a namespace.
pub(super) fn change(tenant: &Tenant, name: &str, kind: ChangeKind) -> Change {
    Change::new(Resource::Namespace, kind, full_name(tenant, name)).within(tenant.id)
}

pub(super) fn full_name(tenant: &Tenant, namespace: &str) -> String {
    format!("{}/{namespace}", tenant.name)
}

/// Both parts of a full name must be names. The contract's product reports either as an invalid name of the namespace.
fn check_names(named: &str, name: &str) -> Result<()> {
    if !lookup::is_possible(named) {
        return Err(Error::invalid(Reason::NamespaceNameInvalid, "tenant", "Namespace name is not valid"));
    }
    rules::namespace_name(name)
}
