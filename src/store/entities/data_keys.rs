//! Keys that seal the secrets of a tenant or the platform, each sealed itself.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "data_keys")]
pub struct Model {
    /// Whose secrets: the dashed id of a tenant, or `platform`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner: String,
    /// The tenant; none for the platform.
    pub tenant_id: Option<Uuid>,
    /// The key, sealed with the key-encryption key.
    pub wrapped: String,
    /// When it was made.
    pub created_at: Stamp,
}

impl std::fmt::Debug for Model {
    /// Leaves out the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
