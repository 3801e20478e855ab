//! The policy of the platform for every project of the manager surface: at most one row.

use sea_orm::entity::prelude::*;

use crate::store::columns::{Json, Stamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "platform_policies")]
pub struct Model {
    /// `default`: there is one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The registries, as they are compared.
    pub image_allowlist: Json<Vec<String>>,
    /// The networks.
    pub egress_baseline: Json<Vec<String>>,
    pub max_requests_cpu: Option<String>,
    pub max_requests_memory: Option<String>,
    /// Raised by every change of what is wanted in the cluster.
    pub generation: i64,
    /// The generation that was last seen in the cluster; 0 for none.
    pub observed_generation: i64,
    /// What was last seen in the cluster, as JSON.
    pub observed: Option<String>,
    pub updated_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
