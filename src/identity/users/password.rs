//! Passwords of users: their own, and resets by administrators (zero-trust contract, section 4.2).

use serde_json::json;

use super::{ceiling, put, record, rules};
use crate::identity::{
    AccountChange, AccountStatus, Password, People, User, UserRef, accounts, backoff::Attempt, passwords::weak, totp,
    users,
};
use crate::{
    base::{Cx, Error, Reach, Result, Secret, error::Reason},
    store::{ChangeKind, Tx},
    tenants::Tenant,
};

#[derive(Clone, Debug, Default)]
pub struct NewPassword {
    /// None to generate a password.
    pub text: Option<Secret<String>>,
    /// The current password, required for the caller's own account.
    pub current: Option<Secret<String>>,
    /// Whether the password must be changed at the next login; by default, if it was generated.
    pub must_change: Option<bool>,
}

/// The result of setting a password.
#[derive(Clone, Debug)]
pub struct PasswordSet {
    pub user: User,
    pub tenant: Tenant,
    /// Whether the account is the caller's own.
    pub own: bool,
    /// The password that was generated.
    pub made: Option<Secret<String>>,
}

/// The parameters of the write.
#[derive(Clone, Debug)]
struct Plan {
    user: UserRef,
    reach: Reach,
    own: bool,
    /// The epoch in which the current password was verified, for the caller's own account.
    verified: Option<i64>,
    hash: String,
    must_change: bool,
    made: bool,
}

/// Sets the password of a user and ends all its sessions. An invited user becomes active. Fails with
/// INVALID_ARGUMENT for a password that violates the policy, with UNAUTHENTICATED for a wrong current password,
/// with PERMISSION_DENIED for a user that the caller may not change, with NOT_FOUND if there is no such user.
pub async fn set(cx: &Cx, people: &People, user: &UserRef, reach: Reach, new: NewPassword) -> Result<PasswordSet> {
    rules::not_by_key(&cx.caller)?;
    let found = users::find_within(cx, &people.store, user, reach).await?;
    let own = rules::is_own(&cx.caller, &found.account);
    let verified = if own { Some(verify(cx, people, &found, new.current).await?) } else { None };
    let (password, made) = match new.text {
        Some(text) => (accounts::password::checked(&found.account, text).await?, None),
        None => {
            let text = Secret::new(totp::recovery_codes(2).join("-"));
            (Password::kept(text.clone()), Some(text))
        }
    };
    let must_change = new.must_change.unwrap_or(made.is_some());
    let hash = people.passwords.hash(password).await?;
    let plan = Plan { user: user.clone(), reach, own, verified, hash, must_change, made: made.is_some() };
    let (tenant, user) = people.store.write(cx, plan, put_password).await?;
    Ok(PasswordSet { user, tenant, own, made })
}

async fn put_password(tx: &Tx, plan: &Plan) -> Result<(Tenant, User)> {
    let locked = users::lock(tx, &plan.user).await?;
    rules::admitted(&tx.cx().caller, plan.reach, &locked.user)?;
    ceiling::refuse_takeover(tx, &locked).await?;
    // The password may have been changed since the current one was verified, which raises the epoch, or the name may belong to
    // another user. A login may have replaced the hash by one of the same password.
    let same = plan.verified.is_none_or(|epoch| epoch == locked.row.epoch);
    if !same || plan.own != rules::is_own(&tx.cx().caller, &locked.user.account) {
        return Err(wrong());
    }
    let invited = locked.user.account.status == AccountStatus::Invited;
    let change = AccountChange {
        password: Some((plan.hash.clone(), plan.must_change)),
        status: invited.then_some((AccountStatus::Active, None)),
        end_sessions: true,
        ..AccountChange::default()
    };
    let after = put(tx, &locked, &change).await?;
    let details = json!({"own": plan.own, "generated": plan.made, "must_change": plan.must_change});
    record(tx, ChangeKind::Updated, &locked, &after, details);
    Ok((locked.tenant, after))
}

/// Verifies the current password and returns the epoch of the account. Failures delay the next attempts, as for logins.
async fn verify(cx: &Cx, people: &People, user: &User, current: Option<Secret<String>>) -> Result<i64> {
    let current = current.ok_or_else(|| Error::invalid(Reason::FieldRequired, "current_password", "required"))?;
    let arrival = people.throttle.approach(cx).await?;
    let turn = people.throttle.wait(cx, arrival, Attempt::on(user.account.id, cx.counted_as())).await?;
    let verified = async {
        let (hash, epoch) = users::password_hash(&people.store, user).await?;
        let right = people.passwords.verify(current, hash).await?;
        Ok(right.then_some(epoch))
    };
    match verified.await {
        Ok(Some(epoch)) => {
            turn.succeeded();
            Ok(epoch)
        }
        Ok(None) => {
            turn.failed();
            Err(wrong())
        }
        Err(error) => {
            turn.inconclusive();
            Err(error)
        }
    }
}

pub(in crate::identity) fn wrong() -> Error {
    Error::unauthenticated(Reason::LoginRefused, "the current password is wrong")
}

/// Checks that either a password or `generate` is set.
pub fn check_given(text: bool, generate: bool) -> Result<()> {
    match (text, generate) {
        (true, true) => Err(weak("set either password or generate, not both")),
        (false, false) => Err(Error::invalid(Reason::FieldRequired, "password", "required unless generate is true")),
        _ => Ok(()),
    }
}
