//! The account model: a login on the platform or in one tenant.

use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{Error, IdKind, Result, Role, TenantId},
    store::{Change, ChangeKind, Stamp, entities::accounts},
    tenants::Authority,
};

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
    /// `local`, `oidc`, `saml` or `directory`.
    pub source: String,
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

impl TryFrom<accounts::Model> for Account {
    type Error = Error;

    fn try_from(row: accounts::Model) -> Result<Self> {
        Ok(Self {
            id: row.id,
            tenant: row.tenant_id.map(TenantId::from_uuid),
            identity: row.identity_id,
            username: row.username,
            named_id: row.named_id,
            email: row.email,
            display_name: row.display_name,
            role: row.role.parse().map_err(|_| unknown("role", &row.role))?,
            status: row.status.parse()?,
            suspended_by: row.suspended_by.as_deref().map(authority).transpose()?,
            source: row.source,
            external_id: row.external_id,
            must_change: row.must_change,
            totp: row.totp_state.parse()?,
            last_login_at: row.last_login_at.map(Stamp::time),
            epoch: row.epoch,
            version: row.version,
            created_at: row.created_at.time(),
            updated_at: row.updated_at.time(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// Created without a password.
    Invited,
    /// May log in.
    Active,
    /// May not log in until the suspension is lifted.
    Suspended,
    /// Deleted; the row is kept for references to it.
    Deleted,
}

impl AccountStatus {
    pub const ALL: [Self; 4] = [Self::Invited, Self::Active, Self::Suspended, Self::Deleted];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for AccountStatus {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| unknown("status", word))
    }
}

/// The state of the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotpState {
    None,
    /// Enrollment has started but is not confirmed.
    Pending,
    /// Logins require a code.
    Enabled,
}

impl TotpState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Enabled => "enabled",
        }
    }
}

impl FromStr for TotpState {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let states = [Self::None, Self::Pending, Self::Enabled];
        states.into_iter().find(|state| state.as_str() == word).ok_or_else(|| unknown("second factor", word))
    }
}

fn authority(word: &str) -> Result<Authority> {
    let all = [Authority::Platform, Authority::Tenant];
    all.into_iter().find(|authority| authority.as_str() == word).ok_or_else(|| unknown("authority", word))
}

fn unknown(what: &str, word: &str) -> Error {
    Error::internal(format!("an account has the unknown {what} {word:?}"))
}
