//! Finds the account that a subject names without a credential of it.

use crate::identity::{Account, AccountStatus, accounts};
use crate::{
    base::{Cx, Error, Result, RoleSet, TenantName, TenantRef, error::Reason},
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
/// Fails with PERMISSION_DENIED if it may not act, because it or its tenant is suspended or deleted, or it is
/// only invited: being named, for example as an admin role of a tenant, gives it no access in that state.
pub async fn find(store: &Store, subject: &str) -> Result<Option<PrincipalAccount>> {
    let Some((tenant, username)) = resolve_subject(store, subject).await? else { return Ok(None) };
    let scope = tenant.as_ref().map(|(_, scope)| *scope);
    let row = accounts::find(store.read(), scope, username).await?;
    let tenant = tenant.map(|(tenant, _)| tenant);
    let account = row.map(Account::from);
    let exact = |account: &Account| account.subject(tenant.as_ref().map(|tenant| tenant.name.as_str())) == subject;
    let Some(account) = account.filter(exact) else {
        return if accounts::was_deleted(store, scope, username).await? { Err(may_not_act()) } else { Ok(None) };
    };
    if account.status != AccountStatus::Active || tenant.as_ref().is_some_and(|tenant| !tenant.status.admits()) {
        return Err(may_not_act());
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
        "the account of the original principal is suspended, deleted or not yet active, or its tenant gave up this name",
    )
}

/// The tenant of a subject and the name in it; none if there is no such tenant.
async fn resolve_subject<'s>(
    store: &Store,
    subject: &'s str,
) -> Result<Option<(Option<(Tenant, crate::base::TenantScope)>, &'s str)>> {
    let Some((tenant, username)) = subject.split_once('/') else { return Ok(Some((None, subject))) };
    let Ok(name) = tenant.parse::<TenantName>() else { return Ok(None) };
    // The lookup runs as the system, because the named account is not the caller.
    let system = Cx::system("auth.principal", store.clock().clone());
    // Includes tenants that are being deleted: their accounts may not act.
    match tenants::resolve_any(&system, store, &TenantRef::Name(name.key())).await {
        Ok(found) => Ok(Some((Some(found), username))),
        // A tenant that was renamed or purged: whether its accounts may act is not known under its old name.
        Err(error) if error.reason == Reason::TenantNotFound => match tenants::released_at(store, &name.key()).await? {
            Some(_) => Err(may_not_act()),
            None => Ok(None),
        },
        Err(error) => Err(error),
    }
}
