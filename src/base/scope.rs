//! Which tenants a call may access, and the proof of access to one of them.

pub use transcoder::Reach;

use super::{
    caller::Caller,
    error::{Error, Reason, Result},
    ids::TenantId,
    names::TenantRef,
};

/// Which tenants a call may access, as the guard determined from the decoded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every tenant: a platform caller.
    Platform,
    /// Only the referenced tenant.
    Tenant(TenantRef),
    /// No tenant: the call does not concern one, or the RPC is public.
    None,
}

/// The tenant of a call, as the guard determined it from the rule of the RPC and the decoded message. The call may access
/// it if it exists; nothing was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallTenant {
    /// The one that the request names, or else the caller's own.
    Known(TenantRef),
    /// None: a platform caller has no tenant of its own and left out the field that names one. Only operations that need
    /// the tenant fail.
    Missing(&'static str),
    /// None: the rule has no tenant, or it is the caller's own and the caller has none.
    None,
}

/// The proof that the call may access a tenant. It is the only way to tenant data. It is made from a tenant that was
/// looked up and the call's [`Access`], never from a bare id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TenantScope(TenantId);

impl TenantScope {
    /// The scope of the tenant `id` with the folded name `key`, if the access includes it.
    pub fn grant(access: &Access, id: TenantId, key: &str) -> Result<Self> {
        let covered = match access {
            Access::Platform => true,
            Access::Tenant(own) => own.names(id, key),
            Access::None => false,
        };
        if covered { Ok(Self(id)) } else { Err(foreign_tenant()) }
    }

    pub fn tenant(self) -> TenantId {
        self.0
    }
}

impl Access {
    /// The intersection of both. Fails if they are for different tenants.
    pub fn and(self, other: Self) -> Result<Self> {
        match (self, other) {
            (Self::Platform, narrower) | (narrower, Self::Platform) => Ok(narrower),
            (Self::None, _) | (_, Self::None) => Ok(Self::None),
            (one, other) if one == other => Ok(one),
            _ => Err(foreign_tenant()),
        }
    }
}

/// The error for a caller that names another tenant, whether it exists or not.
pub fn foreign_tenant() -> Error {
    Error::denied(Reason::TenantForeign, "you do not have access to this tenant")
}

/// Fails unless the access includes every tenant.
pub fn platform_only(access: &Access) -> Result<()> {
    if *access == Access::Platform { Ok(()) } else { Err(foreign_tenant()) }
}

/// The access of a caller of a tenant or of the platform to the tenant in a message. A tenant's caller accesses its own
/// tenant by id: the name may belong to another tenant by the time of the lookup.
pub fn access_to(caller: &Caller, tenant: &TenantRef) -> Result<Access> {
    match &caller.tenant {
        _ if caller.is_platform() => Ok(Access::Platform),
        Some(own) if caller.belongs_to(tenant) => Ok(Access::Tenant(TenantRef::Id(own.id))),
        _ => Err(foreign_tenant()),
    }
}
