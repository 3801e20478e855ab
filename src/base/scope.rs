//! How far a call may reach, and the proof that it may reach one tenant.

pub use transcoder::Reach;

use super::{
    caller::Caller,
    error::{Error, Reason, Result},
    ids::TenantId,
    names::TenantRef,
};

/// How far a call may reach, as the guard found on the decoded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every tenant: a platform caller.
    Platform,
    /// The tenant that the reference names, and no other.
    Tenant(TenantRef),
    /// No tenant: the call is about none, or the RPC is public.
    None,
}

/// The proof that the call may reach a tenant. Tenant data is reached through it alone; it is made from a tenant that
/// was looked up and the call's [`Access`], never from a bare id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TenantScope(TenantId);

impl TenantScope {
    /// The scope of the tenant `id` with the folded name `key`, if the access covers it.
    pub fn grant(access: &Access, id: TenantId, key: &str) -> Result<Self> {
        let covered = match access {
            Access::Platform => true,
            Access::Tenant(own) => own.names(id, key),
            Access::None => false,
        };
        if covered { Ok(Self(id)) } else { Err(foreign_tenant()) }
    }

    /// The tenant.
    pub fn tenant(self) -> TenantId {
        self.0
    }
}

impl Access {
    /// As far as both reach. Fails where that is no tenant, because each reaches another one.
    pub fn and(self, other: Self) -> Result<Self> {
        match (self, other) {
            (Self::Platform, narrower) | (narrower, Self::Platform) => Ok(narrower),
            (Self::None, _) | (_, Self::None) => Ok(Self::None),
            (one, other) if one == other => Ok(one),
            _ => Err(foreign_tenant()),
        }
    }
}

/// The answer to a caller that names a tenant which is not its own, whether it exists or not.
pub fn foreign_tenant() -> Error {
    Error::denied(Reason::TenantForeign, "you do not have access to this tenant")
}

/// Fails unless the access covers every tenant.
pub fn platform_only(access: &Access) -> Result<()> {
    if *access == Access::Platform { Ok(()) } else { Err(foreign_tenant()) }
}

/// The access of a caller that belongs to a tenant or to the platform, for the tenant that a message names. A tenant's
/// caller reaches its own by the id: the name may be another tenant's before the verb looks it up.
pub fn access_to(caller: &Caller, tenant: &TenantRef) -> Result<Access> {
    match &caller.tenant {
        _ if caller.is_platform() => Ok(Access::Platform),
        Some(own) if caller.belongs_to(tenant) => Ok(Access::Tenant(TenantRef::Id(own.id))),
        _ => Err(foreign_tenant()),
    }
}
