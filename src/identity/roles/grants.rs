//! Grants of roles in addition to an account's own, and revocation of any role (zero-trust contract, section 4.5).

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::identity::{
    AccountChange, RoleGrant, RoleScope, User, UserRef,
    users::{self, Held, ceiling, last_admin, put, record, rules},
};
use crate::{
    base::{Caller, Cx, Error, IdKind, Result, Role, TenantRef, error::Reason},
    store::{ChangeKind, Store, Tx, scopes::RoleRow},
};

/// A role and its scope in a request.
#[derive(Clone, Debug)]
pub struct RoleRef {
    pub role: String,
    /// Kind and id of the scope; defaults to the whole tenant.
    pub scope: Option<(String, Option<String>)>,
}

/// A parsed request.
#[derive(Clone, Debug)]
struct Asked {
    user: UserRef,
    role: Role,
    scope: RoleScope,
    /// The tenant that the scope names, which must be the user's.
    tenant: Option<TenantRef>,
}

/// Grants a role to a user, with or without an expiry. A role in effect is not granted again. A change ends the
/// user's sessions. Fails with INVALID_ARGUMENT for a scope that the tenant does not have and for an expiry in
/// the past, with PERMISSION_DENIED for a role or a user above the caller's own role, for the caller's own
/// account and for a grant that would outlast the caller's own role, with NOT_FOUND if there is no such user or
/// role.
pub async fn grant(
    cx: &Cx,
    store: &Store,
    user: &UserRef,
    role: &RoleRef,
    expires_at: Option<OffsetDateTime>,
) -> Result<User> {
    let asked = read(&cx.caller, user, role)?;
    if expires_at.is_some_and(|end| end <= store.clock().now()) {
        return Err(Error::invalid(Reason::InvalidArgument, "expires_at", "a grant must expire in the future"));
    }
    store.write(cx, (asked, expires_at), grant_in).await
}

async fn grant_in(tx: &Tx, (asked, expires_at): &(Asked, Option<OffsetDateTime>)) -> Result<User> {
    let expires_at = *expires_at;
    let held = hold(tx, asked).await?;
    rules::not_to_oneself(&tx.cx().caller, &held.user.account)?;
    let holds = |grant: &&RoleGrant| grant.role == asked.role && grant.scope == asked.scope;
    let known = held.user.roles.iter().find(holds);
    // The account's own role does not expire, so a grant of the same role adds nothing.
    let same = known.is_some_and(|grant| grant.granted_by.is_none() || grant.expires_at == expires_at);
    if same {
        return done(tx, &held, held.user.clone());
    }
    ceiling::refuse_outlasting(tx, held.scope, asked.role, expires_at).await?;
    if let RoleScope::Group(id) = asked.scope {
        let there = tx.tenant(held.scope).group(id).await?;
        there.ok_or_else(|| no_scope("group not found"))?;
    }
    if known.is_some() && expires_at.is_some() && asked.role == Role::Admin && asked.scope == RoleScope::Tenant {
        refuse_unless_lasting(tx, &held, &without(&held.user, asked)).await?;
    }
    let row = RoleRow {
        account: held.row.id,
        role: asked.role.as_str().to_owned(),
        scope_type: asked.scope.kind().to_owned(),
        scope_id: asked.scope.id(),
        granted_by: tx.cx().caller.subject.clone(),
        granted_at: tx.now(),
        expires_at,
    };
    tx.tenant(held.scope).put_role(&row).await?;
    let after = put(tx, &held, &ended()).await?;
    done(tx, &held, after)
}

/// Revokes a role of a user. If it is the account's own role, `user` replaces it. A role that is not in effect
/// is ignored. A change ends the user's sessions. Fails as [`grant`] does, and with FAILED_PRECONDITION for the
/// last active administrator and for the role `user` of an account that has it as its own.
pub async fn revoke(cx: &Cx, store: &Store, user: &UserRef, role: &RoleRef) -> Result<User> {
    store.write(cx, read(&cx.caller, user, role)?, revoke_in).await
}

async fn revoke_in(tx: &Tx, asked: &Asked) -> Result<User> {
    let held = hold(tx, asked).await?;
    let own = asked.scope == RoleScope::Tenant && held.user.account.role == asked.role;
    if own && asked.role == Role::User {
        let message = "a user must have a role; the lowest is user";
        return Err(Error::precondition(Reason::AccountState, message));
    }
    refuse_unless_lasting(tx, &held, &without(&held.user, asked)).await?;
    let rows = tx.tenant(held.scope);
    let taken = rows.delete_role(held.row.id, asked.role, asked.scope.kind(), &asked.scope.id()).await?;
    let change = AccountChange { role: own.then_some(Role::User), ..ended() };
    let after = if own || taken { put(tx, &held, &change).await? } else { held.user.clone() };
    done(tx, &held, after)
}

/// Fails if the change takes the last permanent administrator from the tenant.
async fn refuse_unless_lasting(tx: &Tx, held: &Held, after: &User) -> Result<()> {
    if after.is_lasting_admin() { Ok(()) } else { last_admin::refuse_last(tx, held.scope, &held.user).await }
}

fn without(user: &User, asked: &Asked) -> User {
    let mut after = user.clone();
    after.roles.retain(|grant| grant.role != asked.role || grant.scope != asked.scope);
    after
}

fn read(caller: &Caller, user: &UserRef, role: &RoleRef) -> Result<Asked> {
    rules::not_by_key(caller)?;
    let given = rules::role(caller, &role.role).map_err(|error| match error.reason {
        // A role is a resource here, not the value of a field.
        Reason::RoleUnknown => Error::not_found(Reason::RoleUnknown, "role not found"),
        _ => error,
    })?;
    let (scope, tenant) = scope(role)?;
    Ok(Asked { user: user.clone(), role: given, scope, tenant })
}

/// The scope that a call names, and the tenant if the scope names one.
fn scope(role: &RoleRef) -> Result<(RoleScope, Option<TenantRef>)> {
    let Some((kind, id)) = &role.scope else { return Ok((RoleScope::Tenant, None)) };
    let id = id.as_deref().filter(|id| !id.is_empty());
    match (kind.as_str(), id) {
        ("tenant", id) => Ok((RoleScope::Tenant, id.map(TenantRef::parse))),
        ("group", Some(id)) => {
            let group = IdKind::Group.read(id).ok_or_else(|| no_scope("group not found"))?;
            Ok((RoleScope::Group(group), None))
        }
        ("pool", Some(_)) => Err(no_scope("pool not found")),
        ("group" | "pool", None) => Err(no_scope("a group or pool scope requires an id")),
        _ => Err(Error::invalid(Reason::InvalidArgument, "scope.type", "must be one of tenant, group, pool")),
    }
}

fn no_scope(message: &'static str) -> Error {
    Error::invalid(Reason::InvalidArgument, "scope.id", message)
}

async fn hold(tx: &Tx, asked: &Asked) -> Result<Held> {
    let held = users::hold(tx, &asked.user).await?;
    rules::reachable(&tx.cx().caller, &held.user)?;
    let is_own = |named: &TenantRef| named.names(held.tenant.id, &held.tenant.name.key());
    if asked.tenant.as_ref().is_none_or(is_own) { Ok(held) } else { Err(no_scope("this is not your tenant")) }
}

/// Tokens contain the roles, so a change of roles ends the sessions.
fn ended() -> AccountChange {
    AccountChange { end_sessions: true, ..AccountChange::default() }
}

fn done(tx: &Tx, held: &Held, after: User) -> Result<User> {
    record(tx, ChangeKind::Roles, held, &after, json!({"before": told(&held.user), "after": told(&after)}));
    Ok(after)
}

fn told(user: &User) -> Vec<Value> {
    let grant = |grant: &RoleGrant| {
        let ends = grant.expires_at.map(OffsetDateTime::unix_timestamp);
        json!({"role": grant.role.as_str(), "scope": grant.scope.kind(), "id": grant.scope.id(), "expires_at": ends})
    };
    user.roles.iter().map(grant).collect()
}
