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
    /// The identity that it is a login of, for accounts of the platform.
    pub identity_id: Option<Uuid>,
    /// Address for mail.
    pub email: Option<String>,
    /// Address as it is compared; none once the account is deleted.
    pub email_key: Option<String>,
    /// Name for people.
    pub display_name: String,
    /// What a search looks in: name, address and name for people, folded, each on a line of its own.
    pub search_key: String,
    /// Whether the name stands for the id where accounts are shown.
    pub named_id: bool,
    /// Where it is kept: `local`, `oidc`, `saml` or `directory`.
    pub source: String,
    /// Its id there.
    pub external_id: Option<String>,
    /// PHC string.
    pub password_hash: String,
    /// Word of the role.
    pub role: String,
    /// Word of the status.
    pub status: String,
    /// Who suspended it: `platform` or `tenant`.
    pub suspended_by: Option<String>,
    /// Whether the password has to be changed.
    pub must_change: bool,
    /// When it logged in last.
    pub last_login_at: Option<Stamp>,
    /// Grows with every change.
    pub version: i64,
    /// Where the second factor stands: `none`, `pending` or `enabled`.
    pub totp_state: String,
    /// Its secret, sealed.
    pub totp_secret: Option<String>,
    /// Until when a pending one may be confirmed.
    pub totp_pending_until: Option<Stamp>,
    /// The last time step whose code was taken.
    pub totp_last_step: Option<i64>,
    /// Tokens of an earlier epoch are revoked.
    pub epoch: i64,
    /// When the epoch began.
    pub epoch_changed_at: Stamp,
    /// Revision of the revocation that began it; 0 if none did.
    pub epoch_revision: i64,
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
