//! The user model: an account in a tenant, with its roles and groups (zero-trust contract, section 3).

use time::OffsetDateTime;
use uuid::Uuid;

use crate::identity::Account;
use crate::{
    base::{Error, IdKind, Result, Role, RoleSet, TenantRef},
    store::{
        Db, Stamp,
        tables::{GROUP, RoleRow, TENANT_WIDE, TenantRows},
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub account: Account,
    /// All roles in effect: the account's own first, then granted ones, oldest first.
    pub roles: Vec<RoleGrant>,
    pub groups: Vec<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleGrant {
    pub role: Role,
    pub scope: RoleScope,
    /// Subject of the granting caller; none for the account's own role.
    pub granted_by: Option<String>,
    /// When the role was granted, or the account was created.
    pub granted_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
}

/// The scope of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleScope {
    /// The whole tenant.
    Tenant,
    /// The resources of a group.
    Group(Uuid),
    /// A pool of gateways.
    Pool(String),
}

/// A reference to a user in a request.
#[derive(Clone, Debug)]
pub struct UserRef {
    pub tenant: TenantRef,
    /// Id, name or email address.
    pub user: String,
    /// The expected version, if the call must fail on another one.
    pub version: Option<i64>,
}

impl User {
    /// All roles, in every scope.
    pub fn every_role(&self) -> RoleSet {
        self.roles.iter().map(|grant| grant.role).collect()
    }

    /// Roles granted for the whole tenant, without the account's own, and when the first of them expires.
    pub fn tenant_roles(&self) -> (RoleSet, Option<OffsetDateTime>) {
        let granted =
            || self.roles.iter().filter(|grant| grant.granted_by.is_some() && grant.scope == RoleScope::Tenant);
        let roles = granted().map(|grant| grant.role).collect();
        (roles, granted().filter_map(|grant| grant.expires_at).min())
    }

    /// Whether the user is an administrator of the tenant without an expiry.
    pub fn is_lasting_admin(&self) -> bool {
        let lasting = |grant: &RoleGrant| {
            grant.role == Role::Admin && grant.scope == RoleScope::Tenant && grant.expires_at.is_none()
        };
        self.roles.iter().any(lasting)
    }
}

impl RoleGrant {
    /// The account's own role as a grant.
    pub fn own(account: &Account) -> Self {
        Self {
            role: account.role,
            scope: RoleScope::Tenant,
            granted_by: None,
            granted_at: account.created_at,
            expires_at: None,
        }
    }
}

impl TryFrom<RoleRow> for RoleGrant {
    type Error = Error;

    fn try_from(row: RoleRow) -> Result<Self> {
        Ok(Self {
            role: row.role.parse().map_err(Error::internal)?,
            scope: RoleScope::stored(&row.scope_type, row.scope_id)?,
            granted_by: Some(row.granted_by),
            granted_at: row.granted_at.time(),
            expires_at: row.expires_at.map(Stamp::time),
        })
    }
}

impl RoleScope {
    /// The kind as it is stored and returned.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tenant => TENANT_WIDE,
            Self::Group(_) => GROUP,
            Self::Pool(_) => "pool",
        }
    }

    /// The group or pool, as it is stored and returned; empty for the tenant.
    pub fn id(&self) -> String {
        match self {
            Self::Tenant => String::new(),
            Self::Group(id) => IdKind::Group.show(*id),
            Self::Pool(id) => id.clone(),
        }
    }

    fn stored(kind: &str, id: String) -> Result<Self> {
        let unknown = || Error::internal(format!("a role has the unknown scope {kind:?}"));
        match kind {
            TENANT_WIDE => Ok(Self::Tenant),
            GROUP => IdKind::Group.read(&id).map(Self::Group).ok_or_else(unknown),
            "pool" => Ok(Self::Pool(id)),
            _ => Err(unknown()),
        }
    }
}

/// Loads the users of accounts: the roles in effect at `now`, and the groups.
pub(in crate::identity) async fn load_users<C: Db>(
    rows: &TenantRows<'_, C>,
    accounts: Vec<Account>,
    now: OffsetDateTime,
) -> Result<Vec<User>> {
    let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
    let granted = rows.account_roles().of(&ids, now.into()).await?;
    let mut groups = rows.group_members().groups_of(&ids).await?;
    let user = |account: Account| {
        let own = std::iter::once(Ok(RoleGrant::own(&account)));
        let of_account = granted.iter().filter(|row| row.account_id == account.id).cloned();
        let roles = own.chain(of_account.map(RoleGrant::try_from)).collect::<Result<_>>()?;
        Ok(User { roles, groups: groups.remove(&account.id).unwrap_or_default(), account })
    };
    accounts.into_iter().map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_scopes_are_read_back() {
        for scope in [RoleScope::Tenant, RoleScope::Group(Uuid::from_u128(7)), RoleScope::Pool("pool_1".to_owned())] {
            assert_eq!(RoleScope::stored(scope.kind(), scope.id()).unwrap(), scope);
        }
        assert!(RoleScope::stored("group", "x".to_owned()).is_err() && RoleScope::stored("x", String::new()).is_err());
    }
}
