//! The account model: a login on the platform or in one tenant.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{IdKind, Role, TenantId},
    store::{
        Change, ChangeKind,
        columns::{Authority, Source, Stamp},
        tables::accounts,
    },
};

pub use crate::store::columns::{AccountStatus, TotpState};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: Uuid,
    /// None for platform accounts.
    pub tenant: Option<TenantId>,
    /// The identity whose grants the account may use. Only platform accounts have one, because only the platform
    /// verifies their addresses.
    pub identity: Option<Uuid>,
    /// The name as it was given.
    pub username: String,
    /// Whether the name replaces the id in responses.
    pub named_id: bool,
    pub email: Option<String>,
    pub display_name: String,
    pub role: Role,
    pub status: AccountStatus,
    pub suspended_by: Option<Authority>,
    pub source: Source,
    /// The id at the source.
    pub external_id: Option<String>,
    /// Whether the password must be changed at the next login.
    pub must_change: bool,
    pub totp: TotpState,
    pub last_login_at: Option<OffsetDateTime>,
    /// Tokens of an earlier epoch are revoked.
    pub epoch: i64,
    /// Raised by every change.
    pub version: i64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Account {
    /// The public id on the zero-trust surface: `usr_...`, or the name if it was chosen as the id.
    pub fn shown_id(&self) -> String {
        if self.named_id { self.username.clone() } else { IdKind::User.show(self.id) }
    }

    pub fn change(&self, kind: ChangeKind) -> Change {
        Change::of_account(kind, self.tenant, self.id, self.version)
    }

    /// The subject of the account's tokens: `<tenant>/<username>` in a tenant, `<username>` on the platform.
    pub fn subject(&self, tenant: Option<&str>) -> String {
        tenant.map_or_else(|| self.username.clone(), |tenant| format!("{tenant}/{}", self.username))
    }
}

impl From<accounts::Model> for Account {
    fn from(row: accounts::Model) -> Self {
        Self {
            id: row.id,
            tenant: row.tenant_id,
            identity: row.identity_id,
            username: row.username,
            named_id: row.named_id,
            email: row.email,
            display_name: row.display_name,
            role: row.role,
            status: row.status,
            suspended_by: row.suspended_by,
            source: row.source,
            external_id: row.external_id,
            must_change: row.must_change,
            totp: row.totp_state,
            last_login_at: row.last_login_at.map(Stamp::time),
            epoch: row.epoch,
            version: row.version,
            created_at: row.created_at.time(),
            updated_at: row.updated_at.time(),
        }
    }
}
