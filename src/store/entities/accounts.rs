//! Accounts: logins of the platform or of one tenant.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its tenant; none for platform accounts.
    pub tenant_id: Option<Uuid>,
    /// Name as it was given.
    pub username: String,
    /// Name as it is compared.
    pub username_key: String,
    /// Address for mail.
    pub email: Option<String>,
    /// PHC string.
    pub password_hash: String,
    /// Word of the role.
    pub role: String,
    /// Word of the status.
    pub status: String,
    /// Tokens of an earlier epoch are revoked.
    pub epoch: i64,
    /// When the epoch began.
    pub epoch_changed_at: Stamp,
    /// When it was made.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
}

impl std::fmt::Debug for Model {
    /// Leaves out the hash of the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("username", &self.username).finish_non_exhaustive()
    }
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
