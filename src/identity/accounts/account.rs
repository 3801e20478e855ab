//! What an account is: a login on the platform or in one tenant.

use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{Error, IdKind, Result, Role, TenantId},
    store::{Change, ChangeKind, Stamp, entities::accounts},
    tenants::Authority,
};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// Its tenant; none for platform accounts.
    pub tenant: Option<TenantId>,
    /// The identity whose grants it may use; only platform accounts have one, because only the platform vouches for their
    /// addresses.
    pub identity: Option<Uuid>,
    /// Name, as it was given.
    pub username: String,
    /// Whether the name stands for the id where accounts are shown.
    pub named_id: bool,
    /// Address for mail.
    pub email: Option<String>,
    /// Name for people.
    pub display_name: String,
    /// Role.
    pub role: Role,
    /// Where it stands.
    pub status: AccountStatus,
    /// Who suspended it.
    pub suspended_by: Option<Authority>,
    /// Where it is kept: `local`, `oidc`, `saml` or `directory`.
    pub source: String,
    /// Its id there.
    pub external_id: Option<String>,
    /// Whether the password has to be changed.
    pub must_change: bool,
    /// Its second factor.
    pub totp: TotpState,
    /// When it logged in last.
    pub last_login_at: Option<OffsetDateTime>,
    /// Tokens of an earlier epoch are revoked.
    pub epoch: i64,
    /// Grows with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

impl Account {
    /// The id as the zero-trust surface shows it: `usr_...`, or the name that the account was made with as its id.
    pub fn shown_id(&self) -> String {
        if self.named_id { self.username.clone() } else { IdKind::User.show(self.id) }
    }

    /// What happened to it.
    pub fn change(&self, kind: ChangeKind) -> Change {
        Change::of_account(kind, self.tenant, self.id, self.version)
    }

    /// The subject of the tokens of the account: `<tenant>/<username>` in a tenant, `<username>` on the platform.
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

/// Where an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// Made, and has no password yet.
    Invited,
    /// May log in.
    Active,
    /// May not log in until someone lifts that.
    Suspended,
    /// Gone; the row keeps what others still refer to.
    Deleted,
}

impl AccountStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Invited, Self::Active, Self::Suspended, Self::Deleted];

    /// The stored word.
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

/// Where the second factor of an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotpState {
    /// There is none.
    None,
    /// Its secret was shown, and no code of it has been seen yet.
    Pending,
    /// A login needs it.
    Enabled,
}

impl TotpState {
    /// The stored word.
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
