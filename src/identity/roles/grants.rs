//! Grants of roles in addition to an account's own, and revocation of any role (zero-trust contract, section 4.5).

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::identity::{
    AccountChange, RoleGrant, RoleScope, User, UserRef,
    users::{self, LockedUser, ceiling, last_admin, put, record, rules},
};
use crate::{
    base::{Caller, Cx, Error, IdKind, Result, Role, TenantRef, TenantScope, error::Reason},
    store::{ChangeKind, Stamp, Store, Tx, tables::RoleRow},
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
struct RoleRequest {
    user: UserRef,
    role: Role,
    scope: RoleScope,
    /// The tenant that the scope names, which must be the user's.
    tenant: Option<TenantRef>,
}

impl RoleRequest {
    /// Whether a grant is the one that the request names.
    fn names(&self, grant: &RoleGrant) -> bool {
        grant.role == self.role && grant.scope == self.scope
    }
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
    let request = read(&cx.caller, user, role)?;
    if expires_at.is_some_and(|end| end <= store.clock().now()) {
        return Err(Error::invalid(Reason::InvalidArgument, "expires_at", "a grant must expire in the future"));
    }
    store.write(cx, (request, expires_at), grant_in).await
}

async fn grant_in(tx: &Tx, (request, expires_at): &(RoleRequest, Option<OffsetDateTime>)) -> Result<User> {
    let expires_at = *expires_at;
    let locked = lock(tx, request).await?;
    rules::refuse_self_grant(&tx.cx().caller, &locked.user.account)?;
    let known = locked.user.roles.iter().find(|grant| request.names(grant));
    // The account's own role does not expire, so a grant of the same role adds nothing.
    let same = known.is_some_and(|grant| grant.granted_by.is_none() || grant.expires_at == expires_at);
    if same {
        return done(tx, &locked, locked.user.clone());
    }
    ceiling::refuse_outlasting(tx, locked.scope, request.role, expires_at).await?;
    if let Some(shortened) = known.filter(|known| ends_before(expires_at, known.expires_at)) {
        ceiling::refuse_taking(tx, locked.scope, shortened).await?;
    }
    if let RoleScope::Group(id) = request.scope {
        let there = tx.tenant(locked.scope).groups().get(id).await?;
        there.ok_or_else(|| no_scope("group not found"))?;
    }
    if known.is_some() && expires_at.is_some() && request.role == Role::Admin && request.scope == RoleScope::Tenant {
        refuse_unless_lasting(tx, &locked, &without(&locked.user, request)).await?;
    }
    let row = RoleRow {
        tenant_id: locked.scope.into(),
        account_id: locked.row.id,
        role: request.role.as_str().to_owned(),
        scope_type: request.scope.kind().to_owned(),
        scope_id: request.scope.id(),
        granted_by: tx.cx().caller.subject.clone(),
        granted_at: tx.now().into(),
        expires_at: expires_at.map(Stamp::from),
    };
    tx.tenant(locked.scope).account_roles().put(row).await?;
    let after = put(tx, &locked, &end_sessions_change()).await?;
    done(tx, &locked, after)
}

/// Revokes a role of a user. If it is the account's own role, `user` replaces it. A role that is not in effect
/// is ignored. A change ends the user's sessions. Fails as [`grant`] does, and with FAILED_PRECONDITION for the
/// last active administrator and for the role `user` of an account that has it as its own.
pub async fn revoke(cx: &Cx, store: &Store, user: &UserRef, role: &RoleRef) -> Result<User> {
    store.write(cx, read(&cx.caller, user, role)?, revoke_in).await
}

async fn revoke_in(tx: &Tx, request: &RoleRequest) -> Result<User> {
    let locked = lock(tx, request).await?;
    let own = request.scope == RoleScope::Tenant && locked.user.account.role == request.role;
    if own && request.role == Role::User {
        let message = "a user must have a role; the lowest is user";
        return Err(Error::precondition(Reason::AccountState, message));
    }
    if let Some(taken) = locked.user.roles.iter().find(|grant| request.names(grant)) {
        ceiling::refuse_taking(tx, locked.scope, taken).await?;
    }
    refuse_unless_lasting(tx, &locked, &without(&locked.user, request)).await?;
    let rows = tx.tenant(locked.scope).account_roles();
    let taken = rows.delete(locked.row.id, request.role, request.scope.kind(), &request.scope.id()).await?;
    let change = AccountChange { role: own.then_some(Role::User), ..end_sessions_change() };
    let after = if own || taken { put(tx, &locked, &change).await? } else { locked.user.clone() };
    done(tx, &locked, after)
}

/// Maximum number of users whose roles are revoked with a group: other writes wait for that one.
const MOST_HOLDERS: usize = 500;

/// Revokes all roles for a group, before it is deleted: as [`revoke`] does, and it fails if the caller may not revoke one of
/// them. Their users are not audited one by one.
pub(in crate::identity) async fn revoke_for_group(tx: &Tx, scope: TenantScope, group: Uuid) -> Result<()> {
    let rows = tx.tenant(scope).account_roles();
    let holders = rows.holders_for_group(group, tx.now().into()).await?;
    if !holders.is_empty() {
        rules::not_by_key(&tx.cx().caller)?;
    }
    if holders.len() > MOST_HOLDERS {
        let text =
            format!("more than {MOST_HOLDERS} users have roles for the group; revoke roles before you delete it");
        return Err(Error::precondition(Reason::GroupInUse, text));
    }
    for account in holders {
        let user = IdKind::User.show(account);
        let locked = users::lock(tx, &UserRef { tenant: TenantRef::Id(scope.tenant()), user, version: None }).await?;
        rules::reachable(&tx.cx().caller, &locked.user)?;
        for taken in locked.user.roles.iter().filter(|grant| grant.scope == RoleScope::Group(group)) {
            ceiling::refuse_taking(tx, scope, taken).await?;
        }
        let after = put(tx, &locked, &end_sessions_change()).await?;
        tx.also_changed(after.account.change(ChangeKind::Roles));
    }
    rows.delete_for_group(group).await
}

/// Whether an expiry is earlier than another; none is the latest.
fn ends_before(end: Option<OffsetDateTime>, other: Option<OffsetDateTime>) -> bool {
    end.is_some_and(|end| other.is_none_or(|other| end < other))
}

/// Fails if the change takes the last permanent administrator from the tenant.
async fn refuse_unless_lasting(tx: &Tx, locked: &LockedUser, after: &User) -> Result<()> {
    if after.is_lasting_admin() { Ok(()) } else { last_admin::refuse_last(tx, locked.scope, &locked.user).await }
}

fn without(user: &User, request: &RoleRequest) -> User {
    let mut after = user.clone();
    after.roles.retain(|grant| !request.names(grant));
    after
}

fn read(caller: &Caller, user: &UserRef, role: &RoleRef) -> Result<RoleRequest> {
    rules::not_by_key(caller)?;
    let parsed = rules::role(caller, &role.role).map_err(|error| match error.reason {
        // A role is a resource here, not the value of a field.
        Reason::RoleUnknown => Error::not_found(Reason::RoleUnknown, "role not found"),
        _ => error,
    })?;
    let (scope, tenant) = scope(role)?;
    Ok(RoleRequest { user: user.clone(), role: parsed, scope, tenant })
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

async fn lock(tx: &Tx, request: &RoleRequest) -> Result<LockedUser> {
    let locked = users::lock(tx, &request.user).await?;
    rules::reachable(&tx.cx().caller, &locked.user)?;
    let is_own = |named: &TenantRef| named.names(locked.tenant.id, &locked.tenant.name.key());
    if request.tenant.as_ref().is_none_or(is_own) { Ok(locked) } else { Err(no_scope("this is not your tenant")) }
}

/// Tokens contain the roles, so a change of roles ends the sessions.
fn end_sessions_change() -> AccountChange {
    AccountChange { end_sessions: true, ..AccountChange::default() }
}

fn done(tx: &Tx, locked: &LockedUser, after: User) -> Result<User> {
    record(
        tx,
        ChangeKind::Roles,
        locked,
        &after,
        json!({"before": roles_json(&locked.user), "after": roles_json(&after)}),
    );
    Ok(after)
}

fn roles_json(user: &User) -> Vec<Value> {
    let grant = |grant: &RoleGrant| {
        let ends = grant.expires_at.map(OffsetDateTime::unix_timestamp);
        json!({"role": grant.role.as_str(), "scope": grant.scope.kind(), "id": grant.scope.id(), "expires_at": ends})
    };
    user.roles.iter().map(grant).collect()
}
