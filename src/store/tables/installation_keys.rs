//! Keys of the installation: certificate authorities, and the roots that sign anchor sets. They are platform rows.

use sea_orm::entity::prelude::*;

use crate::store::columns::{KeyState, KeyUse, Stamp};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "installation_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub key_use: KeyUse,
    /// The first 16 bytes of the SHA-256 of the public key, in hex.
    pub key_id: String,
    /// SubjectPublicKeyInfo: DER, in base64.
    pub public_key: String,
    /// The certificate of an authority: DER, in base64.
    pub certificate: Option<String>,
    /// The private key, sealed.
    pub sealed_key: String,
    pub state: KeyState,
    pub not_before: Stamp,
    pub not_after: Stamp,
    pub created_at: Stamp,
    pub activated_at: Option<Stamp>,
    pub retired_at: Option<Stamp>,
}

impl std::fmt::Debug for Model {
    /// Omits the private key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstallationKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
