//! Clusters. They belong to the platform, not to a tenant.

use std::sync::Arc;

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter,
};
use serde_json::Value;

use super::{addresses, cluster_names::cluster_names, document, rules};
use crate::{
    base::{Access, Cx, Error, Result, Worded, error::Reason},
    store::{
        Change, ChangeKind, Exec, Fetch, Invalidate, Resource, Sealer, Stamp, Store, Tx, columns::Json,
        tables::clusters,
    },
};

/// The addresses of a cluster and how it is reached.
pub use crate::proto::messaging::v2::ClusterData;

/// The mask for a secret that the caller may not see.
const MASK: &str = "***";

/// The names of all clusters, sorted.
pub async fn list(_cx: &Cx, store: &Store) -> Result<Vec<String>> {
    all(store).await
}

/// The data of a cluster. Only the platform sees its secrets.
pub async fn get(cx: &Cx, store: &Store, sealer: &Sealer, name: &str) -> Result<ClusterData> {
    if !rules::is_entity_name(name) {
        return Err(not_found());
    }
    let row = clusters::Entity::find_by_id(name).fetch_one(store.read()).await?.ok_or_else(not_found)?;
    let mut data = ClusterData {
        service_url: row.service_url,
        service_url_tls: row.service_url_tls,
        broker_service_url: row.broker_service_url,
        broker_service_url_tls: row.broker_service_url_tls,
        proxy_service_url: row.proxy_service_url,
        peer_cluster_names: row.peer_cluster_names.0,
        ..document::from_text(&row.settings)?
    };
    if let Some(sealed) = row.sealed
        && cx.access == Access::Platform
    {
        let opened = sealer.open(None, &purpose(name), &sealed).await?;
        let text = str::from_utf8(opened.expose()).map_err(Error::internal)?;
        let mut secrets: ClusterData = document::from_text(text)?;
        for (slot, secret) in secrets_of(&mut data).into_iter().zip(secrets_of(&mut secrets)) {
            *slot = secret.take().or(slot.take());
        }
    }
    Ok(data)
}

/// Creates a cluster. Checks the data, the name, and that the name is not taken.
pub async fn create(cx: &Cx, store: &Store, sealer: &Sealer, name: &str, data: Option<&ClusterData>) -> Result<()> {
    let data = checked(data)?;
    rules::cluster_name(name)?;
    let row = columns(sealer, name, data).await?;
    store.write(cx, row, insert).await.worded(Reason::ClusterExists, "Cluster already exists")
}

async fn insert(tx: &Tx, row: &clusters::ActiveModel) -> Result<()> {
    let now = Set(Stamp::from(tx.now()));
    let row = clusters::ActiveModel { created_at: now.clone(), updated_at: now, ..row.clone() };
    record(tx, row.name.as_ref(), ChangeKind::Created);
    tx.after_commit(Invalidate::ClusterNames);
    clusters::Entity::insert(row).run(tx.conn()).await?;
    Ok(())
}

/// Replaces the data of a cluster.
pub async fn update(cx: &Cx, store: &Store, sealer: &Sealer, name: &str, data: Option<&ClusterData>) -> Result<()> {
    let data = checked(data)?;
    if !rules::is_entity_name(name) {
        return Err(not_found());
    }
    let row = columns(sealer, name, data).await?;
    store.write(cx, row, replace).await
}

async fn replace(tx: &Tx, row: &clusters::ActiveModel) -> Result<()> {
    let row = clusters::ActiveModel { updated_at: Set(Stamp::from(tx.now())), ..row.clone() };
    record(tx, row.name.as_ref(), ChangeKind::Updated);
    let updated = clusters::Entity::update_many()
        .filter(clusters::Column::Name.eq(row.name.as_ref()))
        .set(row)
        .run(tx.conn())
        .await?;
    if updated == 0 { Err(not_found()) } else { Ok(()) }
}

/// Deletes a cluster. Tenants, namespaces and other clusters that refer to it keep its name, as in the contract's
/// product (section 13): they stay as they are, may be written back with it, and may drop it at any time. See
/// `docs/references.md`.
pub async fn delete(cx: &Cx, store: &Store, name: &str) -> Result<()> {
    if !rules::is_entity_name(name) {
        return Err(not_found());
    }
    store.write(cx, Arc::from(name), remove).await
}

async fn remove(tx: &Tx, name: &Arc<str>) -> Result<()> {
    record(tx, name, ChangeKind::Deleted);
    tx.after_commit(Invalidate::ClusterNames);
    let deleted = clusters::Entity::delete_by_id(&**name).run(tx.conn()).await?;
    if deleted == 0 { Err(not_found()) } else { Ok(()) }
}

/// The names of all clusters, sorted.
pub(super) async fn all(store: &Store) -> Result<Vec<String>> {
    let mut names = cluster_names(store).await?.to_vec();
    rules::sort_utf16(&mut names);
    Ok(names)
}

fn checked(data: Option<&ClusterData>) -> Result<ClusterData> {
    let data = data.ok_or_else(|| Error::invalid(Reason::ClusterDataMissing, "data", "cluster data is required"))?;
    addresses::check(data)?;
    Ok(ClusterData { peer_cluster_names: rules::bounded(&data.peer_cluster_names)?, ..data.clone() })
}

/// All columns except the times. Secrets are sealed and masked in the rest.
async fn columns(sealer: &Sealer, name: &str, mut data: ClusterData) -> Result<clusters::ActiveModel> {
    let mut secrets = ClusterData::default();
    for (slot, secret) in secrets_of(&mut data).into_iter().zip(secrets_of(&mut secrets)) {
        // An empty one is not a secret, and is returned as given.
        if slot.as_ref().is_some_and(|text| !text.is_empty()) {
            *secret = slot.replace(MASK.to_owned());
        }
    }
    let sealed = if secrets == ClusterData::default() {
        None
    } else {
        Some(sealer.seal(None, &purpose(name), document::to_text("data", &secrets)?.as_bytes()).await?)
    };
    Ok(clusters::ActiveModel {
        name: Set(name.to_owned()),
        service_url: Set(data.service_url.take()),
        service_url_tls: Set(data.service_url_tls.take()),
        broker_service_url: Set(data.broker_service_url.take()),
        broker_service_url_tls: Set(data.broker_service_url_tls.take()),
        proxy_service_url: Set(data.proxy_service_url.take()),
        peer_cluster_names: Set(Json(std::mem::take(&mut data.peer_cluster_names))),
        settings: Set(document::to_text("data", &data)?),
        sealed: Set(sealed),
        created_at: NotSet,
        updated_at: NotSet,
    })
}

/// The members that the proto marks as secrets.
fn secrets_of(data: &mut ClusterData) -> [&mut Option<String>; 4] {
    [
        &mut data.authentication_parameters,
        &mut data.broker_client_tls_trust_store_password,
        &mut data.broker_client_tls_key_store_password,
        &mut data.broker_client_ssl_factory_plugin_params,
    ]
}

/// The purpose of a cluster's sealed secrets.
pub(super) fn purpose(name: &str) -> String {
    format!("messaging cluster {name}")
}

fn record(tx: &Tx, name: &str, kind: ChangeKind) {
    tx.changed(Change::new(Resource::Cluster, kind, name), name, Value::Null);
}

fn not_found() -> Error {
    Error::not_found(Reason::ClusterNotFound, "Cluster does not exist")
}

#[cfg(test)]
mod tests {
    use transcoder::json::Message as _;

    use super::*;

    #[test]
    fn fields_marked_as_secret_are_sealed() {
        let mut data = ClusterData::default();
        for secret in secrets_of(&mut data) {
            *secret = Some("x".to_owned());
        }
        let text: serde_json::Value = serde_json::from_str(&document::to_text("data", &data).unwrap()).unwrap();
        let mut sealed: Vec<_> = text.as_object().unwrap().keys().map(String::as_str).collect();
        sealed.sort_unstable();
        let mut secret: Vec<_> =
            ClusterData::FIELDS.iter().filter(|field| field.secret).map(|field| field.json).collect();
        secret.sort_unstable();
        assert_eq!(sealed, secret);
    }
}
