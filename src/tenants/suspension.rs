//! Suspension: a tenant's callers are refused everywhere until it is lifted. Who set it decides who may lift it.

use std::{fmt, str::FromStr};

use super::{
    Status, Tenant,
    write::{self, Standing},
};
use crate::{
    base::{Caller, Cx, Error, Result, TenantScope, error::Reason},
    store::{SessionsOf, Tx},
};

/// Who suspended a tenant, or an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// A platform caller; only the platform can lift it.
    Platform,
    /// An administrator of the tenant.
    Tenant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    pub authority: Authority,
    /// The subject of the caller who did it.
    pub subject: String,
}

impl Authority {
    /// The authority of a caller.
    pub fn of(caller: &Caller) -> Self {
        if caller.is_platform() { Self::Platform } else { Self::Tenant }
    }

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Tenant => "tenant",
        }
    }

    /// Whether this authority may lift a suspension that `set` made.
    pub fn may_lift(self, set: Self) -> bool {
        self == Self::Platform || set == Self::Tenant
    }
}

impl fmt::Display for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.authority.as_str(), self.subject)
    }
}

impl FromStr for Suspension {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (authority, subject) = text.split_once(':').unwrap_or((text, ""));
        let authority = match authority {
            "platform" => Authority::Platform,
            "tenant" => Authority::Tenant,
            _ => return Err(Error::internal(format!("a tenant was suspended by the unknown {authority:?}"))),
        };
        Ok(Self { authority, subject: subject.to_owned() })
    }
}

/// Suspends a tenant. A suspended one stays so, but the platform takes over a suspension by the tenant itself. A
/// suspension by the platform ends the sessions of the tenant's users on all surfaces; after one by the tenant itself
/// its administrators can still lift it.
pub async fn suspend(tx: &Tx, tenant: &Tenant, scope: TenantScope) -> Result<Tenant> {
    let caller = &tx.cx().caller;
    let authority = Authority::of(caller);
    match (&tenant.status, &tenant.suspended_by) {
        (Status::Deprovisioning, _) => return Err(super::not_found()),
        (Status::Suspended, Some(by)) if by.authority == Authority::Platform || authority == Authority::Tenant => {
            return Ok(tenant.clone());
        }
        _ => {}
    }
    let by = Suspension { authority, subject: caller.subject.clone() };
    let standing = Standing { status: Status::Suspended, suspended_by: Some(by), purge_at: None };
    let tenant = write::stand(tx, scope, &standing).await?;
    if authority == Authority::Platform {
        tx.end_sessions(SessionsOf::Tenant(scope)).await?;
    }
    Ok(tenant)
}

/// Lifts a suspension; any other tenant stays as it is. Only the platform lifts its own suspensions.
pub async fn unsuspend(tx: &Tx, tenant: &Tenant, scope: TenantScope) -> Result<Tenant> {
    if tenant.status != Status::Suspended {
        return Ok(tenant.clone());
    }
    // Without an author it counts as the platform's.
    let set = tenant.suspended_by.as_ref().map_or(Authority::Platform, |by| by.authority);
    if !Authority::of(&tx.cx().caller).may_lift(set) {
        let message = "this tenant was suspended by the platform; only the platform can reactivate it";
        return Err(Error::denied(Reason::SuspensionForeign, message));
    }
    let standing = Standing { status: Status::Active, suspended_by: None, purge_at: None };
    write::stand(tx, scope, &standing).await
}

/// Refuses the callers of a suspended tenant. For RPCs that admit them because one of their actions lifts the
/// suspension: all their other actions check this first.
pub fn refuse_suspended(cx: &Cx) -> Result<()> {
    cx.caller.tenant.as_ref().map_or(Ok(()), |tenant| tenant.refuse_suspended(cx.rpc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_platform_set_the_platform_lifts() {
        use Authority::{Platform, Tenant};
        assert!(Platform.may_lift(Platform) && Platform.may_lift(Tenant) && Tenant.may_lift(Tenant));
        assert!(!Tenant.may_lift(Platform));
    }

    #[test]
    fn a_suspension_is_read_as_it_was_written() {
        let by = Suspension { authority: Authority::Tenant, subject: "acme/ada:x".to_owned() };
        assert_eq!(by.to_string().parse::<Suspension>().unwrap(), by);
        assert!("nobody:x".parse::<Suspension>().is_err());
    }
}
