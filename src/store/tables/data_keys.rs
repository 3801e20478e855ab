//! Data keys of tenants and the platform, each sealed with a key-encryption key.

use sea_orm::entity::prelude::*;

use crate::{base::TenantId, store::columns::Stamp};

/// The owner in the ids of the platform's keys.
pub const PLATFORM: &str = "platform";

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "data_keys")]
pub struct Model {
    /// The owner, as the dashed id of a tenant or [`PLATFORM`]; from version 2 on followed by `#` and the version.
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner: String,
    /// None for the platform.
    pub tenant_id: Option<TenantId>,
    /// The sealed key.
    pub wrapped: String,
    pub created_at: Stamp,
    /// The id of the key-encryption key; none in rows of older programs.
    pub kek: Option<String>,
    /// The generation in which the key was created, from 1. The owner's latest key seals.
    pub version: i64,
}

impl Model {
    /// The purpose that the key is sealed for.
    pub fn purpose(&self) -> &str {
        &self.owner
    }
}

impl std::fmt::Debug for Model {
    /// Omits the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey").field("owner", &self.owner).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
