//! Accounts of the platform and of tenants.

use sea_orm::entity::prelude::*;

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::{Result, Role, TenantId, error::Reason},
    store::{
        Count, Db,
        columns::{AccountStatus, Authority, Source, Stamp, TotpState},
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[
    Unique {
        index: "accounts_username_unique",
        columns: "accounts.tenant_id, accounts.username_key",
        reason: Reason::AccountExists,
        message: "an account with that name already exists",
    },
    Unique {
        index: "accounts_platform_username_unique",
        columns: "accounts.username_key",
        reason: Reason::AccountExists,
        message: "an account with that name already exists",
    },
    Unique {
        index: "accounts_email_unique",
        columns: "accounts.tenant_id, accounts.email_key",
        reason: Reason::EmailExists,
        message: "an account with that email address already exists",
    },
    Unique {
        index: "accounts_platform_email_unique",
        columns: "accounts.email_key",
        reason: Reason::EmailExists,
        message: "an account with that email address already exists",
    },
];

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// None for platform accounts.
    pub tenant_id: Option<TenantId>,
    /// The name as it was given.
    pub username: String,
    /// The name in the form that is compared.
    pub username_key: String,
    /// The identity of a platform account.
    pub identity_id: Option<Uuid>,
    pub email: Option<String>,
    /// The address in the form that is compared; none once the account is deleted.
    pub email_key: Option<String>,
    pub display_name: String,
    /// The text that searches look in: name, address and display name, folded, one per line.
    pub search_key: String,
    /// Whether the name replaces the id in responses.
    pub named_id: bool,
    pub source: Source,
    /// The id at the source.
    pub external_id: Option<String>,
    /// A PHC string.
    pub password_hash: String,
    pub role: Role,
    pub status: AccountStatus,
    pub suspended_by: Option<Authority>,
    /// Whether the password must be changed at the next login.
    pub must_change: bool,
    pub last_login_at: Option<Stamp>,
    /// Raised by every change.
    pub version: i64,
    pub totp_state: TotpState,
    /// Sealed.
    pub totp_secret: Option<String>,
    /// When a pending enrollment expires.
    pub totp_pending_until: Option<Stamp>,
    /// The last time step whose code was used.
    pub totp_last_step: Option<i64>,
    /// Tokens of an earlier epoch are revoked.
    pub epoch: i64,
    pub epoch_changed_at: Stamp,
    /// Revision of the revocation that started the epoch; 0 if none did.
    pub epoch_revision: i64,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

impl std::fmt::Debug for Model {
    /// Omits the password hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("username", &self.username).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn accounts(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// How many count against the limit of users: all that were not deleted.
    pub async fn seats(&self) -> Result<u64> {
        Ok(self.select().filter(Column::Status.ne(AccountStatus::Deleted)).fetch_count(self.conn).await?)
    }
}
