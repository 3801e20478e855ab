//! Clusters. They belong to the platform, not to a tenant.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter,
};
use serde_json::json;

use super::rules;
use crate::{
    base::{Cx, Error, Result, Worded, error::Reason},
    store::{OutboxEvent, Stamp, Store, Tx, entities::clusters, json},
};

/// Where a cluster is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterData {
    /// HTTP address of the admin service.
    pub service_url: Option<String>,
    /// HTTPS address of the admin service.
    pub service_url_tls: Option<String>,
    /// Address of the brokers.
    pub broker_service_url: Option<String>,
    /// TLS address of the brokers.
    pub broker_service_url_tls: Option<String>,
    /// Address of the proxy before the brokers.
    pub proxy_service_url: Option<String>,
    /// Clusters that this one replicates to; a set.
    pub peer_cluster_names: Vec<String>,
}

/// The names of all clusters, sorted.
pub async fn list(_cx: &Cx, store: &Store) -> Result<Vec<String>> {
    all(store).await
}

/// The addresses of a cluster.
pub async fn get(_cx: &Cx, store: &Store, name: &str) -> Result<ClusterData> {
    if !rules::is_entity_name(name) {
        return Err(not_found());
    }
    let row = clusters::Entity::find_by_id(name).one(store.read()).await?.ok_or_else(not_found)?;
    Ok(ClusterData {
        service_url: row.service_url,
        service_url_tls: row.service_url_tls,
        broker_service_url: row.broker_service_url,
        broker_service_url_tls: row.broker_service_url_tls,
        proxy_service_url: row.proxy_service_url,
        peer_cluster_names: json::from_text(&row.peer_cluster_names)?,
    })
}

/// Creates a cluster. Checks the data, the name, and that no cluster has it.
pub async fn create(cx: &Cx, store: &Store, name: &str, data: Option<&ClusterData>) -> Result<()> {
    let data = checked(data)?;
    rules::cluster_name(name)?;
    let row = columns(name, &data)?;
    store
        .write(cx, "cluster.create", move |tx| {
            let row = row.clone();
            Box::pin(async move {
                record(tx, row.name.as_ref(), "created");
                tx.clusters_change();
                let now = Set(Stamp::from(tx.now()));
                let row = clusters::ActiveModel { created_at: now.clone(), updated_at: now, ..row };
                clusters::Entity::insert(row).exec_without_returning(tx.conn()).await?;
                Ok(())
            })
        })
        .await
        .worded(Reason::ClusterExists, "Cluster already exists")
}

/// Replaces the addresses of a cluster.
pub async fn update(cx: &Cx, store: &Store, name: &str, data: Option<&ClusterData>) -> Result<()> {
    let data = checked(data)?;
    if !rules::is_entity_name(name) {
        return Err(not_found());
    }
    let row = columns(name, &data)?;
    store
        .write(cx, "cluster.update", move |tx| {
            let row = row.clone();
            Box::pin(async move {
                record(tx, row.name.as_ref(), "updated");
                let row = clusters::ActiveModel { updated_at: Set(Stamp::from(tx.now())), ..row };
                let updated = clusters::Entity::update_many()
                    .filter(clusters::Column::Name.eq(row.name.as_ref()))
                    .set(row)
                    .exec(tx.conn())
                    .await?;
                if updated.rows_affected == 0 { Err(not_found()) } else { Ok(()) }
            })
        })
        .await
}

/// Deletes a cluster. Tenants, namespaces and other clusters that name it keep the name, as the contract's product has it
/// (section 13): they go on as they are, may be written back with it, and may drop it at any time. See
/// `docs/references.md`.
pub async fn delete(cx: &Cx, store: &Store, name: &str) -> Result<()> {
    if !rules::is_entity_name(name) {
        return Err(not_found());
    }
    let name = name.to_owned();
    store
        .write(cx, "cluster.delete", move |tx| {
            let name = name.clone();
            Box::pin(async move {
                record(tx, &name, "deleted");
                tx.clusters_change();
                let deleted = clusters::Entity::delete_by_id(name).exec(tx.conn()).await?;
                if deleted.rows_affected == 0 { Err(not_found()) } else { Ok(()) }
            })
        })
        .await
}

/// The names of all clusters, sorted.
pub(super) async fn all(store: &Store) -> Result<Vec<String>> {
    let mut names = store.cluster_names().await?.to_vec();
    rules::sort_utf16(&mut names);
    Ok(names)
}

fn checked(data: Option<&ClusterData>) -> Result<ClusterData> {
    let data = data.ok_or_else(|| Error::invalid(Reason::ClusterDataMissing, "data", "cluster data is required"))?;
    let peers = rules::bounded(&data.peer_cluster_names)?;
    let addresses = [
        ("data.service_url", &data.service_url),
        ("data.service_url_tls", &data.service_url_tls),
        ("data.broker_service_url", &data.broker_service_url),
        ("data.broker_service_url_tls", &data.broker_service_url_tls),
        ("data.proxy_service_url", &data.proxy_service_url),
    ];
    for (field, address) in addresses {
        if address.as_ref().is_some_and(|address| address.contains(char::is_control)) {
            return Err(Error::invalid(Reason::InvalidArgument, field, "an address has no control characters"));
        }
    }
    Ok(ClusterData { peer_cluster_names: peers, ..data.clone() })
}

/// All columns but the times.
fn columns(name: &str, data: &ClusterData) -> Result<clusters::ActiveModel> {
    Ok(clusters::ActiveModel {
        name: Set(name.to_owned()),
        service_url: Set(data.service_url.clone()),
        service_url_tls: Set(data.service_url_tls.clone()),
        broker_service_url: Set(data.broker_service_url.clone()),
        broker_service_url_tls: Set(data.broker_service_url_tls.clone()),
        proxy_service_url: Set(data.proxy_service_url.clone()),
        peer_cluster_names: Set(json::to_text(&data.peer_cluster_names)?),
        created_at: NotSet,
        updated_at: NotSet,
    })
}

fn record(tx: &Tx, name: &str, change: &str) {
    tx.audit(name);
    let payload = json!({"change": change});
    tx.emit(OutboxEvent { topic: "cluster".into(), tenant: None, key: name.to_owned(), payload });
}

fn not_found() -> Error {
    Error::not_found(Reason::ClusterNotFound, "Cluster does not exist")
}
