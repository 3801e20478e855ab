//! Namespaces of tenants.

use sea_orm::entity::prelude::*;

use crate::{
    base::error::Reason,
    store::{Stamp, unique::Unique},
};

/// The unique indexes whose violations callers see.
pub(in crate::store) const UNIQUE: &[Unique] = &[Unique {
    index: "namespaces_name_unique",
    columns: "namespaces.tenant_id, namespaces.name",
    reason: Reason::NamespaceExists,
    message: "a namespace with that name already exists in the tenant",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "namespaces")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    /// JSON list of cluster names.
    pub replication_clusters: String,
    /// JSON object of the policies that were set, without the replication clusters.
    pub policies: String,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
