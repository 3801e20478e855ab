//! Clusters of the messaging platform.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "clusters")]
pub struct Model {
    /// Name.
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
    /// Address of the proxy before the brokers.
    pub proxy_service_url: Option<String>,
    /// JSON list of names.
    pub peer_cluster_names: String,
    /// JSON object of what has no column of its own; secrets are masked in it.
    pub settings: String,
    /// The secrets, sealed, if there are any.
    pub sealed: Option<String>,
    /// When it was made.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
