//! The objects that a messaging platform expects on its first start.

use super::{
    namespaces,
    policies::NamespacePolicies,
    rules::{self, TenantInfo},
    tenants,
};
use crate::{
    base::{Cx, Result, TenantRef, error::Reason},
    store::{Store, Tx},
    tenants::find,
};

/// The names of the tenant, its namespace, and the cluster that always exists.
const TENANT: &str = "public";
const NAMESPACE: &str = "default";
const CLUSTER: &str = "standalone";

/// Creates tenant `public` with namespace `public/default` unless the tenant exists. Safe to run on several replicas at
/// once and at every start.
pub async fn bootstrap(cx: &Cx, store: &Store) -> Result<()> {
    if find(store, &TenantRef::parse(TENANT)).await?.is_some() {
        return Ok(());
    }
    match store.write(cx, (), insert).await {
        // Another replica was first.
        Err(error) if error.reason == Reason::TenantExists => Ok(()),
        outcome => outcome,
    }
}

async fn insert(tx: &Tx, (): &()) -> Result<()> {
    let clusters = vec![CLUSTER.to_owned()];
    let info = TenantInfo { admin_roles: Vec::new(), allowed_clusters: clusters.clone() };
    tenants::insert(tx, rules::tenant_name(TENANT)?, &info, None).await?;
    let policies = NamespacePolicies { replication_clusters: clusters.clone(), ..NamespacePolicies::default() };
    namespaces::insert(tx, TENANT, NAMESPACE, &policies, &clusters).await
}
