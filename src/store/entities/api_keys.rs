//! API keys: credentials of programs in a tenant.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub role: String,
    /// The public part of the key.
    pub prefix: String,
    /// SHA-256 of the whole key, in hex.
    pub secret_hash: String,
    /// JSON list of networks that the key may be used from; empty for any.
    pub allowed_cidrs: String,
    /// Subject of the creator.
    pub created_by: String,
    pub created_at: Stamp,
    pub expires_at: Stamp,
    pub last_used_at: Option<Stamp>,
    pub last_used_ip: Option<String>,
    pub revoked_at: Option<Stamp>,
}

impl std::fmt::Debug for Model {
    /// Omits the digest of the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
