//! API keys: credentials of programs, each in one tenant.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// Word of the role.
    pub role: String,
    /// The part of the key that may be shown.
    pub prefix: String,
    /// SHA-256 of the whole key, in hex.
    pub secret_hash: String,
    /// JSON list of networks that it may be used from; empty for any.
    pub allowed_cidrs: String,
    /// Subject of who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Stamp,
    /// When it ends.
    pub expires_at: Stamp,
    /// When it was used last.
    pub last_used_at: Option<Stamp>,
    /// From where.
    pub last_used_ip: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Stamp>,
}

impl std::fmt::Debug for Model {
    /// Leaves out the digest of the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
