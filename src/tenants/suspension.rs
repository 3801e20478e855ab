//! Suspension: a tenant's callers are refused everywhere until it is lifted. Who set it decides who may lift it.

use super::{
    Authority, Status, Suspension, Tenant,
    write::{self, Standing},
};
use crate::{
    base::{Cx, Error, Result, TenantScope, error::Reason},
    store::{SessionsOf, Tx, columns::EndReason, tables::SessionsAt},
};

/// Suspends a tenant. One that is suspended stays so; the platform takes over what the tenant set itself. A suspension by
/// the platform ends the sessions of the tenant's users and of people with grants in it, on whatever surface; one by the
/// tenant itself leaves its administrators the way back. Either ends the sessions of its devices.
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
    tx.end_access_sessions(scope, SessionsAt::Tenant, EndReason::TenantSuspended).await?;
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
    fn only_the_platform_lifts_its_own_suspension() {
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
