//! Creation, changes and deletion of users (zero-trust contract, section 4.2).

use sea_orm::{ColumnTrait, Condition, ExprTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use super::{LockedUser, ceiling, last_admin, put, record, rules, suspension};
use crate::identity::{
    AccountChange, AccountStatus, Email, NewAccount, Password, People, RoleGrant, User, UserRef,
    accounts::{self, password::Owner},
    groups, totp, users,
};
use crate::{
    base::{Cx, Error, Result, Role, Secret, TenantRef, TenantScope, error::Reason, text},
    store::{ChangeKind, Fetch, Store, Tx, like::beginning, tables::accounts::Column},
    tenants,
};

const DISPLAY_NAME: &str = "display_name";

#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// An id chosen by the caller.
    pub id: Option<String>,
    pub email: String,
    pub display_name: String,
    /// Defaults to `user`.
    pub role: Option<String>,
    /// Public ids of the groups that the user joins.
    pub groups: Vec<String>,
    /// Without a password the user is invited.
    pub password: Option<Secret<String>>,
}

/// A change of a user; the default changes nothing.
#[derive(Clone, Debug, Default)]
pub struct UserEdit {
    pub email: Option<String>,
    pub display_name: Option<String>,
    pub role: Option<String>,
}

/// A validated [`NewUser`].
#[derive(Clone, Debug)]
struct Draft {
    id: Option<String>,
    email: Email,
    display_name: String,
    role: Role,
    groups: Vec<Uuid>,
    password_hash: Option<String>,
}

/// Creates a user: active with a password, invited without. Fails with INVALID_ARGUMENT for invalid values,
/// with PERMISSION_DENIED for a role above the caller's own or one that the caller's own role would not
/// outlast, with ALREADY_EXISTS if the id or the address is taken, with FAILED_PRECONDITION if the tenant has as many users as it may. An id is
/// never used again.
pub async fn create(cx: &Cx, people: &People, tenant: &TenantRef, new: NewUser) -> Result<User> {
    let draft = draft(cx, people, new).await?;
    people.store.write(cx, (tenant.clone(), draft), create_in).await
}

async fn create_in(tx: &Tx, (tenant, draft): &(TenantRef, Draft)) -> Result<User> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    insert(tx, scope, draft).await
}

/// Invites a user, as [`create`] does without a password. Returns whether the user is new: an address that is
/// already invited stays invited.
pub async fn invite(cx: &Cx, people: &People, tenant: &TenantRef, new: NewUser) -> Result<(User, bool)> {
    let draft = draft(cx, people, NewUser { password: None, ..new }).await?;
    people.store.write(cx, (tenant.clone(), draft), invite_in).await
}

async fn invite_in(tx: &Tx, (tenant, draft): &(TenantRef, Draft)) -> Result<(User, bool)> {
    let (tenant, scope) = tenants::resolve_locked(tx, tenant).await?;
    let there = accounts::in_place(Some(scope)).filter(Column::EmailKey.eq(draft.email.key()));
    let invited = there.filter(Column::Status.eq(AccountStatus::Invited)).fetch_one(tx.conn()).await?;
    let Some(row) = invited else { return Ok((insert(tx, scope, draft).await?, true)) };
    let user = users::as_user(tx, scope, row.into()).await?;
    tx.audit_only(Some(tenant.id), user.account.shown_id(), json!({"again": true}));
    Ok((user, false))
}

async fn draft(cx: &Cx, people: &People, new: NewUser) -> Result<Draft> {
    let email = Email::read(&new.email)?;
    let id = new.id.map(rules::id).transpose()?;
    let display_name = rules::display_name(DISPLAY_NAME, &new.display_name)?;
    let groups = rules::groups(&new.groups)?;
    let role = rules::role(&cx.caller, new.role.as_deref().unwrap_or(Role::User.as_str()))?;
    let password_hash = match new.password {
        None => None,
        Some(text) => {
            let names = id.iter().chain([&display_name]).cloned().collect();
            let owner = Owner { names, address: Some(new.email) };
            let password = accounts::password::checked_for_user(owner, text).await?;
            Some(people.passwords.hash(password).await?)
        }
    };
    Ok(Draft { id, email, display_name, role, groups, password_hash })
}

async fn insert(tx: &Tx, scope: TenantScope, draft: &Draft) -> Result<User> {
    ceiling::refuse_outlasting(tx, scope, draft.role, None).await?;
    if let Some(id) = &draft.id {
        refuse_used(tx, scope, id).await?;
    }
    let new = NewAccount {
        tenant: Some(scope),
        username: draft.id.clone().unwrap_or_default(),
        named_id: draft.id.is_some(),
        email: Some(draft.email.clone()),
        display_name: draft.display_name.clone(),
        // Only its presence counts: it makes the account active. The hash is passed separately.
        password: draft.password_hash.as_ref().map(|_| Password::kept(Secret::default())),
        role: draft.role,
    };
    let account = accounts::insert(tx, &new, draft.password_hash.clone().unwrap_or_default()).await?;
    groups::join(tx, scope, &draft.groups, account.id).await?;
    // An account created in this write has no other roles and groups.
    Ok(User { roles: vec![RoleGrant::own(&account)], groups: draft.groups.clone(), account })
}

/// An id chosen by a caller is never used again, even after its account was deleted.
async fn refuse_used(tx: &Tx, scope: TenantScope, id: &str) -> Result<()> {
    // The name is the first line of the search key and is kept there after deletion; older versions leave the
    // search key empty.
    let named = Column::SearchKey.like(beginning(&format!("{}\n", text::fold(id))));
    let unfilled = Column::SearchKey.eq("").and(accounts::lower_username(tx.backend()).eq(id.to_ascii_lowercase()));
    let named = Condition::any().add(named).add(unfilled);
    let used =
        accounts::in_place(Some(scope)).filter(Column::NamedId.eq(true)).filter(named).fetch_one(tx.conn()).await?;
    match used {
        Some(_) => Err(Error::exists(Reason::AccountExists, "the id belongs or belonged to another user")),
        None => Ok(()),
    }
}

/// Changes a user. A new role ends all sessions. Fails as [`create`] does, with NOT_FOUND if there is no such
/// user, with ABORTED if the version differs, with FAILED_PRECONDITION for attributes that a directory manages
/// and for the role of the last administrator, with PERMISSION_DENIED for a role of the caller's own account
/// that would not be lower, and within a tenant for the address of a user that the platform suspended.
pub async fn update(cx: &Cx, store: &Store, user: &UserRef, edit: UserEdit) -> Result<User> {
    let display_name = edit.display_name.as_deref().map(|name| rules::display_name(DISPLAY_NAME, name));
    // An address that an older version accepted may be written back, although it would be invalid as a new one.
    let kept = edit.email.clone().filter(|text| Email::read(text).is_err());
    let change = AccountChange {
        email: edit.email.as_deref().filter(|_| kept.is_none()).map(Email::read).transpose()?,
        display_name: display_name.transpose()?,
        role: edit.role.as_deref().map(|word| rules::role(&cx.caller, word)).transpose()?,
        ..AccountChange::default()
    };
    store.write(cx, (user.clone(), change, kept), update_in).await
}

async fn update_in(tx: &Tx, (user, asked, kept): &(UserRef, AccountChange, Option<String>)) -> Result<User> {
    let asked = asked.clone();
    let locked = users::lock(tx, user).await?;
    rules::reachable(&tx.cx().caller, &locked.user)?;
    let before = &locked.user.account;
    if let Some(text) = kept.as_deref().filter(|text| rules::shown_email(before).as_deref() != Some(*text)) {
        Email::read(text)?;
    }
    let change = AccountChange {
        email: asked.email.filter(|email| rules::shown_email(before).as_deref() != Some(email.key())),
        display_name: asked.display_name.filter(|name| *name != before.display_name),
        role: asked.role.filter(|role| *role != before.role),
        ..AccountChange::default()
    };
    let change = AccountChange { end_sessions: change.role.is_some(), ..change };
    if change.email.is_some() || change.display_name.is_some() {
        rules::not_synced(before)?;
    }
    if change.email.is_some() {
        suspension::refuse_foreign(tx, &locked)?;
    }
    if change.email.is_some() {
        ceiling::refuse_takeover(tx, &locked).await?;
    }
    if let Some(role) = change.role {
        if role.rank() >= before.role.rank() {
            rules::refuse_self_grant(&tx.cx().caller, before)?;
        }
        ceiling::refuse_taking(tx, locked.scope, &RoleGrant::own(before)).await?;
        ceiling::refuse_outlasting(tx, locked.scope, role, None).await?;
        refuse_demotion(tx, &locked, role).await?;
    }
    let recorded = |user: &User| {
        let account = &user.account;
        json!({"email": account.email, "display_name": account.display_name, "role": account.role.as_str()})
    };
    let is_change = change.email.is_some() || change.display_name.is_some() || change.role.is_some();
    let after = if is_change { put(tx, &locked, &change).await? } else { locked.user.clone() };
    record(
        tx,
        ChangeKind::Updated,
        &locked,
        &after,
        json!({"before": recorded(&locked.user), "after": recorded(&after)}),
    );
    Ok(after)
}

/// Refuses to take the account's own role from the last administrator; with a grant of the same role they remain one.
async fn refuse_demotion(tx: &Tx, locked: &LockedUser, role: Role) -> Result<()> {
    let mut after = locked.user.clone();
    after.account.role = role;
    if let Some(own) = after.roles.first_mut() {
        own.role = role;
    }
    if after.is_lasting_admin() { Ok(()) } else { last_admin::refuse_last(tx, locked.scope, &locked.user).await }
}

/// Deletes a user, and revokes its devices. The row keeps the id and releases everything that must be unique. Fails as [`update`] does,
/// and for the caller's own account.
pub async fn delete(cx: &Cx, store: &Store, user: &UserRef, reason: Option<String>) -> Result<User> {
    store.write(cx, (user.clone(), rules::reason(reason)?), delete_in).await
}

async fn delete_in(tx: &Tx, (user, reason): &(UserRef, Option<String>)) -> Result<User> {
    let locked = users::lock(tx, user).await?;
    rules::not_own(&tx.cx().caller, &locked.user.account)?;
    rules::reachable(&tx.cx().caller, &locked.user)?;
    suspension::refuse_foreign(tx, &locked)?;
    last_admin::refuse_last(tx, locked.scope, &locked.user).await?;
    let rows = tx.tenant(locked.scope);
    rows.account_roles().delete_of(locked.row.id).await?;
    rows.group_members().remove_account(locked.row.id).await?;
    totp::clear(tx, locked.row.id).await?;
    let devices = tx.revoke_devices_of(locked.scope, locked.row.id).await?;
    for group in &locked.user.groups {
        tx.also_changed(groups::members_changed(locked.scope, *group));
    }
    let change = AccountChange {
        status: Some((AccountStatus::Deleted, None)),
        password: Some((String::new(), false)),
        end_sessions: true,
        ..AccountChange::default()
    };
    let after = put(tx, &locked, &change).await?;
    let details = json!({"reason": reason, "role": locked.user.account.role.as_str(), "devices": devices});
    record(tx, ChangeKind::Deleted, &locked, &after, details);
    Ok(after)
}

/// Ends all sessions of a user. Fails with NOT_FOUND if there is no such user, with PERMISSION_DENIED for a
/// user above the caller's own role.
pub async fn force_reauth(cx: &Cx, store: &Store, user: &UserRef, reason: Option<String>) -> Result<User> {
    store.write(cx, (user.clone(), rules::reason(reason)?), force_reauth_in).await
}

async fn force_reauth_in(tx: &Tx, (user, reason): &(UserRef, Option<String>)) -> Result<User> {
    let locked = users::lock(tx, user).await?;
    rules::reachable(&tx.cx().caller, &locked.user)?;
    let after = put(tx, &locked, &AccountChange { end_sessions: true, ..AccountChange::default() }).await?;
    record(tx, ChangeKind::Updated, &locked, &after, json!({"reason": reason}));
    Ok(after)
}
