//! Keys that seal the secrets of a tenant or the platform, each sealed itself.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// Whose the platform's keys are.
pub const PLATFORM: &str = "platform";

/// A row.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "data_keys")]
pub struct Model {
    /// Whose secrets, and which of their keys: the dashed id of a tenant, or [`PLATFORM`]; from version 2 on followed by
    /// `#` and the version.
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner: String,
    /// The tenant; none for the platform.
    pub tenant_id: Option<Uuid>,
    /// The key, sealed with a key-encryption key.
    pub wrapped: String,
    /// When it was made.
    pub created_at: Stamp,
    /// The id of the key-encryption key; none where an older program made the row.
    pub kek: Option<String>,
    /// The generation that it was made in, from 1. Of the owner's keys the last one seals.
    pub version: i64,
}

impl Model {
    /// What the key is sealed for.
    pub fn purpose(&self) -> &str {
        &self.owner
    }
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
