//! The names of the clusters. They are few, they hardly change, and every tenant that is created asks for them.

use std::{sync::Arc, time::Duration};

use sea_orm::{EntityTrait, QuerySelect};

use crate::{
    base::Result,
    store::{Db, Fetch, Invalidate, Store, Tx, tables::clusters},
};

/// How old the names may be.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The names of all clusters, in no order.
pub(super) async fn cluster_names(store: &Store) -> Result<Arc<Vec<String>>> {
    store.cached(Invalidate::ClusterNames, MAX_AGE, || all(store.read())).await
}

/// The names of all clusters as this write sees them, in no order.
pub(super) async fn cluster_names_in(tx: &Tx) -> Result<Vec<String>> {
    all(tx.conn()).await
}

async fn all(conn: &impl Db) -> Result<Vec<String>> {
    Ok(clusters::Entity::find().select_only().column(clusters::Column::Name).into_tuple().fetch_all(conn).await?)
}
