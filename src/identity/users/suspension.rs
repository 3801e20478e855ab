//! Suspension of users: a suspended user cannot log in and loses all sessions (zero-trust contract, section 4.2).

use serde_json::json;

use super::{LockedUser, ceiling, last_admin, put, record, rules};
use crate::identity::{AccountChange, AccountStatus, User, UserRef, sessions::records, users};
use crate::{
    base::{Cx, Error, Result, error::Reason},
    entitlements,
    store::{ChangeKind, Store, Tx, columns::EndReason, tables::SessionsAt},
    tenants::Authority,
};

#[derive(Clone, Debug)]
pub struct Suspended {
    pub user: User,
    /// Number of sessions that were ended: logins, and those of devices.
    pub sessions: u64,
    /// Number of devices that were suspended with the user.
    pub devices: u64,
}

#[derive(Clone, Debug)]
pub struct Reactivated {
    pub user: User,
    /// Number of devices that were reactivated with the user.
    pub devices: u64,
}

/// Suspends a user with its active devices, and ends all its sessions. A suspended user stays suspended; the platform takes over a
/// suspension by the tenant. Fails with INVALID_ARGUMENT for the caller's own account, with PERMISSION_DENIED
/// for a user above the caller's own role, with NOT_FOUND if there is no such user, with FAILED_PRECONDITION
/// for the last active administrator.
pub async fn suspend(cx: &Cx, store: &Store, user: &UserRef, reason: Option<String>) -> Result<Suspended> {
    store.write(cx, (user.clone(), rules::reason(reason)?), suspend_in).await
}

async fn suspend_in(tx: &Tx, (user, reason): &(UserRef, Option<String>)) -> Result<Suspended> {
    let locked = users::lock(tx, user).await?;
    rules::not_own(&tx.cx().caller, &locked.user.account)?;
    rules::reachable(&tx.cx().caller, &locked.user)?;
    last_admin::refuse_last(tx, locked.scope, &locked.user).await?;
    let suspended = suspend_locked(tx, &locked).await?;
    let before = locked.user.account.status.as_str();
    let (sessions, devices) = (suspended.sessions, suspended.devices);
    let details = json!({"reason": reason, "before": before, "sessions": sessions, "devices": devices});
    record(tx, ChangeKind::Updated, &locked, &suspended.user, details);
    Ok(suspended)
}

async fn suspend_locked(tx: &Tx, locked: &LockedUser) -> Result<Suspended> {
    let authority = Authority::of(&tx.cx().caller);
    let account = &locked.user.account;
    if account.status == AccountStatus::Suspended
        && (set_by(locked) == Authority::Platform || authority == Authority::Tenant)
    {
        return Ok(Suspended { user: locked.user.clone(), sessions: 0, devices: 0 });
    }
    let sessions = records::count(tx, account.id, account.epoch).await?;
    let status = Some((AccountStatus::Suspended, Some(authority)));
    let change = AccountChange { status, end_sessions: true, ..AccountChange::default() };
    let devices = tx.suspend_devices_of(locked.scope, account.id).await?;
    let of = SessionsAt::Account(account.id);
    let of_devices = tx.end_access_sessions(locked.scope, of, EndReason::UserSuspended).await?;
    let sessions = sessions + of_devices;
    Ok(Suspended { user: put(tx, locked, &change).await?, sessions, devices })
}

/// Lifts the suspension of a user, and of the devices that were suspended with it; does nothing to a user that is not suspended. Fails with INVALID_ARGUMENT
/// for the caller's own account, with PERMISSION_DENIED for a user above the caller's own role and for a
/// suspension by the platform, with NOT_FOUND if there is no such user, with FAILED_PRECONDITION if the tenant has more users than it may.
pub async fn reactivate(cx: &Cx, store: &Store, user: &UserRef, reason: Option<String>) -> Result<Reactivated> {
    store.write(cx, (user.clone(), rules::reason(reason)?), reactivate_in).await
}

async fn reactivate_in(tx: &Tx, (user, reason): &(UserRef, Option<String>)) -> Result<Reactivated> {
    let locked = users::lock(tx, user).await?;
    rules::not_own(&tx.cx().caller, &locked.user.account)?;
    rules::reachable(&tx.cx().caller, &locked.user)?;
    let mut devices = 0;
    let after = if locked.user.account.status == AccountStatus::Suspended {
        refuse_foreign(tx, &locked)?;
        ceiling::refuse_takeover(tx, &locked).await?;
        entitlements::require_no_excess_of_users(tx, locked.scope).await?;
        devices = tx.reactivate_devices_of(locked.scope, locked.user.account.id).await?;
        let status = rules::active_or_invited(!locked.row.password_hash.is_empty());
        put(tx, &locked, &AccountChange { status: Some((status, None)), ..AccountChange::default() }).await?
    } else {
        locked.user.clone()
    };
    let before = locked.user.account.status.as_str();
    let details = json!({"reason": reason, "before": before, "devices": devices});
    record(tx, ChangeKind::Updated, &locked, &after, details);
    Ok(Reactivated { user: after, devices })
}

/// Refuses callers of a tenant that would lift or bypass a suspension by the platform.
pub(in crate::identity) fn refuse_foreign(tx: &Tx, locked: &LockedUser) -> Result<()> {
    let suspended = locked.user.account.status == AccountStatus::Suspended;
    if suspended && !Authority::of(&tx.cx().caller).may_lift(set_by(locked)) {
        let message = "this user was suspended by the platform; only the platform can change that";
        return Err(Error::denied(Reason::SuspensionForeign, message));
    }
    Ok(())
}

/// Who suspended a user. A suspension without an author counts as the platform's.
fn set_by(locked: &LockedUser) -> Authority {
    locked.user.account.suspended_by.unwrap_or(Authority::Platform)
}
