//! Who calls.

use std::{fmt, str::FromStr, sync::Arc};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    error::{Error, Reason, Result},
    ids::TenantId,
    names,
};

/// The caller, as described by the credential. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Arc<CallerFacts>);

/// The facts about a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerFacts {
    pub kind: CallerKind,
    /// Subject of the credential: `<tenant>/<username>` for a tenant's account, `<username>` for a platform account,
    /// any text for a minted token.
    pub subject: String,
    /// Role; if there are several, the one that the account was created with.
    pub role: Role,
    /// Additional granted roles.
    pub also: RoleSet,
    /// The account that logged in; `None` for keys and minted tokens.
    pub account: Option<Uuid>,
    /// What the caller's authorization depends on.
    pub basis: Basis,
    /// The caller's tenant; `None` for platform callers.
    pub tenant: Option<CallerTenant>,
    /// The project to which the caller is limited.
    pub project: Option<String>,
    /// Id of the token, for revocation and the log.
    pub token_id: String,
    /// When the token begins to be refused; `None` if the credential is not one of our tokens.
    pub ends: Option<OffsetDateTime>,
    /// How long after its end the credential may be exchanged for a new one. Zero in all calls but those that do.
    pub renewal_grace: Duration,
    /// The principal on whose behalf the caller acts, such as a client behind a proxy. A call needs the rights of both.
    pub principal: Option<Caller>,
}

impl Default for CallerFacts {
    /// An anonymous caller without any rights.
    fn default() -> Self {
        Self {
            kind: CallerKind::User,
            subject: String::new(),
            role: Role::User,
            also: RoleSet::default(),
            account: None,
            basis: Basis::Token,
            tenant: None,
            project: None,
            token_id: String::new(),
            ends: None,
            renewal_grace: Duration::ZERO,
            principal: None,
        }
    }
}

/// What a caller's authorization depends on. Authentication knows its recent state; a write checks again, in its
/// transaction, that it is still valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// A token that does not depend on anything in the database.
    #[default]
    Token,
    /// An account in one of its epochs.
    Account {
        id: Uuid,
        /// The epoch in which it logged in.
        epoch: i64,
    },
    ApiKey(Uuid),
    Device {
        id: Uuid,
        /// The credential that it used.
        credential: Uuid,
    },
    Gateway {
        id: Uuid,
        /// The credential that it used.
        credential: Uuid,
    },
}

impl Basis {
    /// The account, if it is one.
    pub fn account(self) -> Option<Uuid> {
        match self {
            Self::Account { id, .. } => Some(id),
            Self::Token | Self::ApiKey(_) | Self::Device { .. } | Self::Gateway { .. } => None,
        }
    }
}

/// The tenant of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerTenant {
    pub id: TenantId,
    /// Its folded name.
    pub key: String,
    pub suspended: bool,
    /// Since when the name refers to this tenant, in seconds since the epoch: no earlier tenant gave up the name later
    /// than that. `None` if the caller was found by id.
    pub named_since: Option<i64>,
}

impl CallerTenant {
    /// Refuses a call if the tenant is suspended. On the zero-trust surface, streams of gateways included, the credential
    /// is not valid then (its contract, decisions: 401); on the others the caller is authenticated but not permitted (403).
    pub fn refuse_suspended(&self, rpc: &str) -> Result<()> {
        let text = "your tenant is suspended";
        match self.suspended {
            false => Ok(()),
            true if ["/tenantry.zerotrust.", "/tenantry.edge."].iter().any(|package| rpc.starts_with(package)) => {
                Err(Error::unauthenticated(Reason::TenantSuspended, text))
            }
            true => Err(Error::denied(Reason::TenantSuspended, text)),
        }
    }
}

impl Caller {
    pub fn new(facts: CallerFacts) -> Self {
        Self(Arc::new(facts))
    }

    /// The program itself: migrations, the relay, the command line.
    pub fn system() -> Self {
        Self::new(CallerFacts {
            kind: CallerKind::Service,
            subject: "system".to_owned(),
            role: Role::PlatformAdmin,
            ..CallerFacts::default()
        })
    }

    /// Everyone whose rights a call needs: the caller, and its principal if it has one.
    pub fn parties(&self) -> impl Iterator<Item = Self> {
        let own = match &self.principal {
            None => self.clone(),
            Some(_) => Self::new(CallerFacts { principal: None, ..CallerFacts::clone(self) }),
        };
        std::iter::once(own).chain(self.principal.clone())
    }

    /// Every role of the caller, including those of its principal. `platform_admin` includes every role. Devices and
    /// gateways have none.
    pub fn roles(&self) -> RoleSet {
        let own = if self.kind.is_enrolled() { RoleSet::default() } else { self.also.with(self.role) };
        match self.principal.as_ref().map(Self::roles) {
            None => own,
            Some(theirs) if theirs.contains(Role::PlatformAdmin) => own,
            Some(theirs) if own.contains(Role::PlatformAdmin) => theirs,
            Some(theirs) => own.common(theirs),
        }
    }

    /// Whether the caller may grant a role and change an account that has it: nobody may do so above their own rank.
    pub fn outranks(&self, role: Role) -> bool {
        self.roles().iter().any(|own| own.rank() >= role.rank())
    }

    /// Whether the caller uses an API key.
    pub fn is_api_key(&self) -> bool {
        matches!(self.basis, Basis::ApiKey(_))
    }

    /// Whether the caller, and its principal, has access to all tenants.
    pub fn is_platform(&self) -> bool {
        let own = self.role == Role::PlatformAdmin && self.tenant.is_none() && !self.kind.is_enrolled();
        own && self.principal.as_ref().is_none_or(Self::is_platform)
    }

    /// Whether the caller belongs to the referenced tenant, and its principal does too or is of the platform.
    pub fn belongs_to(&self, tenant: &names::TenantRef) -> bool {
        let own = self.tenant.as_ref().is_some_and(|own| tenant.names(own.id, &own.key));
        own && self.principal.as_ref().is_none_or(|theirs| theirs.is_platform() || theirs.belongs_to(tenant))
    }
}

impl std::ops::Deref for Caller {
    type Target = CallerFacts;

    fn deref(&self) -> &CallerFacts {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// A person.
    User,
    /// A program.
    Service,
    /// An enrolled device.
    Device,
    Gateway,
    /// An agent on a host.
    Agent,
}

impl CallerKind {
    /// Whether it is a device or a gateway: they get their credentials by enrollment, and have permissions of their own
    /// instead of roles.
    pub fn is_enrolled(self) -> bool {
        matches!(self, Self::Device | Self::Gateway)
    }

    /// The name in the proto options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Service => "SERVICE",
            Self::Device => "DEVICE",
            Self::Gateway => "GATEWAY",
            Self::Agent => "AGENT",
        }
    }
}

/// Roles, named as in `token mint --role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything, everywhere.
    PlatformAdmin,
    /// Everything in one tenant.
    Admin,
    /// Networks, gateways and policy of one tenant.
    NetworkAdmin,
    /// Devices, sessions and incidents of one tenant.
    SecurityOperator,
    /// Reads one tenant, including its audit log.
    Auditor,
    /// Reads one tenant.
    ReadOnly,
    /// Uses what the tenant offers.
    User,
    /// One project of one tenant.
    Project,
}

/// The text is not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown role; one of platform_admin, admin, network_admin, security_operator, auditor, read_only, user, project"
)]
pub struct UnknownRole;

impl Role {
    pub const ALL: [Role; 8] = [
        Self::PlatformAdmin,
        Self::Admin,
        Self::NetworkAdmin,
        Self::SecurityOperator,
        Self::Auditor,
        Self::ReadOnly,
        Self::User,
        Self::Project,
    ];

    /// The rank of the role. A caller can manage accounts of the same and lower ranks, and grant no higher role.
    pub fn rank(self) -> u8 {
        match self {
            Self::PlatformAdmin => 4,
            Self::Admin => 3,
            Self::NetworkAdmin | Self::SecurityOperator | Self::Auditor => 2,
            Self::ReadOnly => 1,
            Self::User | Self::Project => 0,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlatformAdmin => "platform_admin",
            Self::Admin => "admin",
            Self::NetworkAdmin => "network_admin",
            Self::SecurityOperator => "security_operator",
            Self::Auditor => "auditor",
            Self::ReadOnly => "read_only",
            Self::User => "user",
            Self::Project => "project",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of roles, one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RoleSet(u16);

// A role without its own bit would be taken for another role.
const _: () = assert!(Role::ALL.len() <= u16::BITS as usize, "RoleSet needs a wider integer");

impl RoleSet {
    pub fn with(self, role: Role) -> Self {
        Self(self.0 | Self::bit(role))
    }

    pub fn contains(self, role: Role) -> bool {
        self.0 & Self::bit(role) != 0
    }

    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the sets have a role in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The roles, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }

    fn bit(role: Role) -> u16 {
        1 << role as u16
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_exactly_the_inserted_roles() {
        let set: RoleSet = [Role::Auditor, Role::User].into_iter().collect();
        assert!(set.contains(Role::Auditor) && set.contains(Role::User) && !set.contains(Role::Admin));
        assert_eq!(set.iter().collect::<Vec<_>>(), [Role::Auditor, Role::User]);
        assert!(set.meets(RoleSet::default().with(Role::User)) && !set.meets(RoleSet::default().with(Role::Admin)));
    }

    #[test]
    fn every_role_has_its_own_bit() {
        for (position, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, position, "{role} is at its place in Role::ALL");
            let set = RoleSet::default().with(role);
            assert_eq!(set.iter().collect::<Vec<_>>(), [role]);
        }
        assert_eq!(RoleSet::from_iter(Role::ALL).iter().count(), Role::ALL.len());
    }

    #[test]
    fn a_caller_with_a_principal_has_the_roles_of_both() {
        let of = |role| Caller::new(CallerFacts { role, ..CallerFacts::default() });
        let both =
            |own, theirs| Caller::new(CallerFacts { role: own, principal: Some(of(theirs)), ..CallerFacts::default() });
        let (platform, admin, user) = (Role::PlatformAdmin, Role::Admin, Role::User);
        assert!(both(platform, platform).is_platform());
        for (own, theirs) in [(platform, user), (user, platform), (platform, admin), (admin, platform)] {
            assert!(!both(own, theirs).is_platform() && !both(own, theirs).outranks(platform), "{own} for {theirs}");
        }
        assert!(both(platform, admin).outranks(admin) && both(admin, platform).outranks(admin));
        assert_eq!(both(admin, user).roles(), RoleSet::default(), "a role that one of them lacks");
        assert_eq!(both(platform, user).parties().map(|party| party.role).collect::<Vec<_>>(), [platform, user]);
    }

    #[test]
    fn no_caller_grants_above_their_own_rank() {
        let caller =
            |role, also| Caller::new(CallerFacts { role, also: RoleSet::from_iter(also), ..CallerFacts::default() });
        let operator = caller(Role::SecurityOperator, vec![]);
        assert!(operator.outranks(Role::ReadOnly) && operator.outranks(Role::Auditor));
        assert!(!operator.outranks(Role::Admin) && !caller(Role::Admin, vec![]).outranks(Role::PlatformAdmin));
        assert!(caller(Role::User, vec![Role::Admin]).outranks(Role::Admin));
    }
}
