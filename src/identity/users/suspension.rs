//! Suspension of users: who is suspended may not log in, and loses every session (zero-trust contract, section 4.2).

use serde_json::json;

use super::{
    Held, last_admin,
    lifecycle::{put, record},
    rules,
};
use crate::identity::{AccountChange, AccountStatus, User, UserRef, sessions::records, users};
use crate::{
    base::{Cx, Error, Result, error::Reason},
    store::{ChangeKind, Store, Tx},
    tenants::Authority,
};

/// A user that was suspended.
#[derive(Clone, Debug)]
pub struct Suspended {
    /// The user.
    pub user: User,
    /// How many sessions ended with that.
    pub sessions: u64,
}

/// Suspends a user, and ends every session of it. One that is suspended stays so; the platform takes over what the tenant
/// set. Fails with INVALID_ARGUMENT for oneself, with PERMISSION_DENIED for a user above the caller's own role, with
/// NOT_FOUND if there is no such user, with FAILED_PRECONDITION for the last active administrator.
pub async fn suspend(cx: &Cx, store: &Store, user: &UserRef, reason: Option<String>) -> Result<Suspended> {
    store.write(cx, (user.clone(), rules::reason(reason)?), suspend_in).await
}

async fn suspend_in(tx: &Tx, (user, reason): &(UserRef, Option<String>)) -> Result<Suspended> {
    let held = users::hold(tx, user).await?;
    rules::not_own(&tx.cx().caller, &held.user.account)?;
    rules::reachable(&tx.cx().caller, &held.user)?;
    last_admin::refuse_last(tx, held.scope, &held.user).await?;
    let suspended = suspend_held(tx, &held).await?;
    let before = held.user.account.status.as_str();
    let details = json!({"reason": reason, "before": before, "sessions": suspended.sessions});
    record(tx, ChangeKind::Updated, &held, &suspended.user, details);
    Ok(suspended)
}

async fn suspend_held(tx: &Tx, held: &Held) -> Result<Suspended> {
    let authority = Authority::of(&tx.cx().caller);
    let account = &held.user.account;
    if account.status == AccountStatus::Suspended
        && (set_by(held) == Authority::Platform || authority == Authority::Tenant)
    {
        return Ok(Suspended { user: held.user.clone(), sessions: 0 });
    }
    let sessions = records::count(tx, account.id, account.epoch).await?;
    let status = Some((AccountStatus::Suspended, Some(authority)));
    let change = AccountChange { status, end_sessions: true, ..AccountChange::default() };
    Ok(Suspended { user: put(tx, held, &change).await?, sessions })
}

/// Lifts the suspension of a user; any other user stays as it is. Fails with INVALID_ARGUMENT for oneself, with
/// PERMISSION_DENIED for a user above the caller's own role and for a suspension by the platform, with NOT_FOUND if there is
/// no such user.
pub async fn reactivate(cx: &Cx, store: &Store, user: &UserRef, reason: Option<String>) -> Result<User> {
    store.write(cx, (user.clone(), rules::reason(reason)?), reactivate_in).await
}

async fn reactivate_in(tx: &Tx, (user, reason): &(UserRef, Option<String>)) -> Result<User> {
    let held = users::hold(tx, user).await?;
    rules::not_own(&tx.cx().caller, &held.user.account)?;
    rules::reachable(&tx.cx().caller, &held.user)?;
    let after = if held.user.account.status == AccountStatus::Suspended {
        refuse_foreign(tx, &held)?;
        let status = rules::working(!held.row.password_hash.is_empty());
        put(tx, &held, &AccountChange { status: Some((status, None)), ..AccountChange::default() }).await?
    } else {
        held.user.clone()
    };
    let details = json!({"reason": reason, "before": held.user.account.status.as_str()});
    record(tx, ChangeKind::Updated, &held, &after, details);
    Ok(after)
}

/// Refuses a tenant's caller to undo or to get around the platform's suspension of a user.
pub(in crate::identity) fn refuse_foreign(tx: &Tx, held: &Held) -> Result<()> {
    let suspended = held.user.account.status == AccountStatus::Suspended;
    if suspended && !Authority::of(&tx.cx().caller).may_lift(set_by(held)) {
        let message = "this user was suspended by the platform; only the platform can change that";
        return Err(Error::denied(Reason::SuspensionForeign, message));
    }
    Ok(())
}

/// Who suspended a user. A suspension that nobody signed counts as the platform's.
fn set_by(held: &Held) -> Authority {
    held.user.account.suspended_by.unwrap_or(Authority::Platform)
}
