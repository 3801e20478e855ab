//! A new password at login, for accounts whose password must be changed.

use sea_orm::{EntityTrait, QuerySelect};
use serde_json::json;

use super::Login;
use crate::identity::{
    Account, AccountChange, AccountStatus, People, accounts,
    passwords::{normalized, weak},
    users::password::wrong,
};
use crate::{
    base::{Access, Caller, CallerKind, Cx, Result, Secret, caller::CallerFacts, cx::CxFacts},
    store::{ChangeKind, Fetch, Tx, tables::accounts as rows},
};

/// Changes the password of an account that just logged in, and ends all its sessions. The change uses the code of the
/// login. Fails with INVALID_ARGUMENT for a password that violates the policy or equals the current one, with
/// UNAUTHENTICATED if the account was changed, or the code was used, since the login.
pub async fn renew(
    cx: &Cx,
    people: &People,
    login: Login,
    current: &Secret<String>,
    new: Secret<String>,
) -> Result<Login> {
    if normalized(&new).expose() == normalized(current).expose() {
        return Err(weak("the new password must differ from the current one"));
    }
    let password = accounts::password::checked(&login.account, new).await?;
    let hash = people.passwords.hash(password).await?;
    let account = people.store.write(&as_account(cx, &login), (login.clone(), hash), put_renewed).await?;
    Ok(Login { account, ..login })
}

async fn put_renewed(tx: &Tx, (login, hash): &(Login, String)) -> Result<Account> {
    let (id, epoch) = (login.account.id, login.account.epoch);
    login.factor.consume(tx, id).await?;
    let row = rows::Entity::find_by_id(id).lock_exclusive().fetch_one(tx.conn()).await?;
    // Every change of its password, role or status raises the epoch.
    let active = |row: &rows::Model| row.epoch == epoch && row.status == AccountStatus::Active;
    let row = row.filter(active).ok_or_else(wrong)?;
    let password = Some((hash.clone(), false));
    let change = AccountChange { password, end_sessions: true, ..AccountChange::default() };
    let account = accounts::change(tx, row, &change).await?;
    let details = json!({"own": true, "at_login": true});
    tx.changed(account.change(ChangeKind::Updated), account.shown_id(), details);
    Ok(account)
}

/// The context of the call with the account as its caller.
fn as_account(cx: &Cx, login: &Login) -> Cx {
    let account = &login.account;
    let caller = Caller::new(CallerFacts {
        kind: CallerKind::User,
        subject: account.subject(login.tenant.as_ref().map(|tenant| tenant.name.as_str())),
        role: account.role,
        account: Some(account.id),
        ..CallerFacts::default()
    });
    Cx::new(CxFacts { caller, access: Access::Platform, audit_action: Some("user.password.set"), ..CxFacts::clone(cx) })
}
