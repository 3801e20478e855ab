//! How long the caller has the role that permits a grant: a grant must not outlast it.

use sea_orm::{ColumnTrait, QueryFilter};
use time::OffsetDateTime;

use super::{LockedUser, rules};
use crate::identity::{Account, RoleGrant, RoleScope, accounts};
use crate::{
    base::{Basis, Error, Result, Role, TenantScope, error::Reason},
    store::{Fetch, Tx, tables::accounts::Column},
};

/// Refuses to give a role until `end`, or permanently without one, if the caller's own role expires earlier, as
/// a grant or an API key does.
pub(in crate::identity) async fn refuse_outlasting(
    tx: &Tx,
    scope: TenantScope,
    role: Role,
    end: Option<OffsetDateTime>,
) -> Result<()> {
    let Some(own) = until(tx, scope, role).await? else { return Ok(()) };
    if end.is_some_and(|end| end <= own) {
        return Ok(());
    }
    let message = "your own role expires; a grant must not outlast it";
    Err(Error::denied(Reason::RoleAboveOwn, message))
}

/// Refuses to change what another account logs in with (password, second factor, address), and to reactivate it, if the
/// caller's own role expires before a role of the account does: the caller could log in with the account afterwards.
pub(in crate::identity) async fn refuse_takeover(tx: &Tx, locked: &LockedUser) -> Result<()> {
    if rules::is_own(&tx.cx().caller, &locked.user.account) {
        return Ok(());
    }
    for granted in &locked.user.roles {
        refuse_taking(tx, locked.scope, granted).await?;
    }
    Ok(())
}

/// Refuses to take a role away, or to let it end earlier, if the caller's own role expires before it does: the caller could
/// take over the account then, and wait for the role to be granted again.
pub(in crate::identity) async fn refuse_taking(tx: &Tx, scope: TenantScope, granted: &RoleGrant) -> Result<()> {
    let Some(own) = until(tx, scope, granted.role).await? else { return Ok(()) };
    if granted.expires_at.is_some_and(|end| end <= own) {
        return Ok(());
    }
    let message = match tx.cx().caller.basis {
        Basis::ApiKey(_) => "the API key expires before a role of this user does; use a session of an administrator",
        _ => "your own role expires before a role of this user does; ask an administrator whose role does not",
    };
    Err(Error::denied(Reason::RoleAboveOwn, message))
}

/// The roles of the caller that permit to give a role: a higher one, or the same. One of the same rank has other permissions
/// and counts only if the caller has none of these.
fn permitting(own: &[RoleGrant], role: Role) -> impl Iterator<Item = &RoleGrant> {
    let of_tenant = |own: &&RoleGrant| own.scope == RoleScope::Tenant;
    let permits = move |own: &RoleGrant| own.role == role || own.role.rank() > role.rank();
    let any = own.iter().filter(of_tenant).any(permits);
    let counts = move |own: &&RoleGrant| if any { permits(own) } else { own.role.rank() == role.rank() };
    own.iter().filter(of_tenant).filter(counts)
}

/// When the caller loses the right to give a role; none if never. Read from the database, because a token may be outdated.
async fn until(tx: &Tx, scope: TenantScope, role: Role) -> Result<Option<OffsetDateTime>> {
    let caller = &tx.cx().caller;
    // Every user has this rank.
    if role.rank() == Role::User.rank() || caller.is_platform() {
        return Ok(None);
    }
    if let Basis::ApiKey(id) = caller.basis {
        let key = tx.tenant(scope).api_keys().get(id).await?;
        return key
            .filter(|key| key.revoked_at.is_none() && tx.now() < key.expires_at.time())
            .map(|key| Some(key.expires_at.time()))
            .ok_or_else(|| Error::denied(Reason::RoleAboveOwn, "the role is above your own"));
    }
    // Minted tokens are issued by the operator of the server.
    let Some(id) = caller.account else { return Ok(None) };
    // The account was read before the tenant was locked: another write may have revoked a role since.
    let own = accounts::in_place(Some(scope)).filter(Column::Id.eq(id)).fetch_one(tx.conn()).await?;
    let own = Account::from(own.ok_or_else(rules::above)?);
    let granted =
        tx.tenant(scope).account_roles().of(&[id], tx.now().into()).await?.into_iter().map(RoleGrant::try_from);
    let roles = std::iter::once(Ok(RoleGrant::own(&own))).chain(granted).collect::<Result<Vec<_>>>()?;
    let ends: Option<Vec<_>> = permitting(&roles, role).map(|own| own.expires_at).collect();
    match ends {
        Some(ends) => ends.into_iter().max().map(Some).ok_or_else(rules::above),
        None => Ok(None),
    }
}
