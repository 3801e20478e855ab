//! Finds the account that a subject names without a credential of it.

use crate::identity::{Account, AccountStatus, accounts};
use crate::{
    base::{Cx, Error, IdKind, Result, RoleSet, TenantName, TenantRef, TenantScope, error::Reason},
    store::{Stamp, Store},
    tenants::{self, Tenant},
};

/// An account found by its subject, and its roles.
#[derive(Clone, Debug)]
pub struct PrincipalAccount {
    pub account: Account,
    pub tenant: Option<Tenant>,
    /// Granted roles, without the account's own.
    pub also: RoleSet,
}

/// The account whose tokens have exactly this subject: `<tenant>/<username>`, or `<username>` on the platform.
///
/// Fails with PERMISSION_DENIED if it may not act, because it or its tenant is suspended or deleted, or it is only
/// invited: being named, for example as an admin role of a tenant, gives it no access in that state. A subject that
/// names the tenant or the account in another case fails, too: subjects are case-sensitive, and it may be the subject
/// that the account had before its tenant changed the case of its name.
pub async fn find(store: &Store, subject: &str) -> Result<Option<PrincipalAccount>> {
    let Some((tenant, username)) = resolve_subject(store, subject).await? else { return Ok(None) };
    let scope = tenant.as_ref().map(|(_, scope)| *scope);
    let account = accounts::find(store.read(), scope, username).await?.map(Account::from);
    let Some(account) = account else {
        return if accounts::was_deleted(store, scope, username).await? { Err(may_not_act()) } else { Ok(None) };
    };
    let tenant = tenant.map(|(tenant, _)| tenant);
    if account.status != AccountStatus::Active || tenant.as_ref().is_some_and(|tenant| !tenant.status.admits()) {
        return Err(may_not_act());
    }
    if account.username != username {
        // An address is not a subject of the account, but may be one of another issuer.
        let is_by_address = !account.username.eq_ignore_ascii_case(username) && IdKind::User.read(username).is_none();
        return if is_by_address { Ok(None) } else { Err(may_not_act()) };
    }
    let also = match scope {
        Some(scope) => {
            store.tenant(scope).account_roles().tenant_wide(account.id, Stamp::from(store.clock().now())).await?.0
        }
        None => RoleSet::default(),
    };
    Ok(Some(PrincipalAccount { account, tenant, also }))
}

fn may_not_act() -> Error {
    Error::denied(
        Reason::PermissionDenied,
        "the account of the original principal is suspended, deleted or not yet active, or has another name",
    )
}

/// The tenant of a subject and the name in it; none if there is no such tenant.
async fn resolve_subject<'s>(
    store: &Store,
    subject: &'s str,
) -> Result<Option<(Option<(Tenant, TenantScope)>, &'s str)>> {
    let Some((tenant, username)) = subject.split_once('/') else { return Ok(Some((None, subject))) };
    let Ok(name) = tenant.parse::<TenantName>() else { return Ok(None) };
    // The lookup runs as the system, because the named account is not the caller.
    let system = Cx::system("auth.principal", store.clock().clone());
    // Includes tenants that are being deleted: their accounts may not act.
    match tenants::resolve_any(&system, store, &TenantRef::Name(name.key())).await {
        Ok((tenant, _)) if tenant.name != name => Err(may_not_act()),
        Ok(found) => Ok(Some((Some(found), username))),
        // A tenant that was renamed or purged: whether its accounts may act is not known under its old name.
        Err(error) if error.reason == Reason::TenantNotFound => match tenants::released_at(store, &name.key()).await? {
            Some(_) => Err(may_not_act()),
            None => Ok(None),
        },
        Err(error) => Err(error),
    }
}
