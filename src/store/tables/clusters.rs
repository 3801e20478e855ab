//! Clusters of the messaging platform.

use sea_orm::entity::prelude::*;

use crate::{
    base::error::Reason,
    store::{
        columns::{Json, Stamp},
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "clusters_pkey",
    columns: "clusters.name",
    reason: Reason::ClusterExists,
    message: "a cluster with that name already exists",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "clusters")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// HTTP address of the admin service.
    pub service_url: Option<String>,
    /// HTTPS address of the admin service.
    pub service_url_tls: Option<String>,
    /// Address of the brokers.
    pub broker_service_url: Option<String>,
    /// TLS address of the brokers.
    pub broker_service_url_tls: Option<String>,
    /// Address of the proxy in front of the brokers.
    pub proxy_service_url: Option<String>,
    pub peer_cluster_names: Json<Vec<String>>,
    /// JSON object of the settings without a column; secrets are masked.
    pub settings: String,
    /// The sealed secrets, if there are any.
    pub sealed: Option<String>,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
