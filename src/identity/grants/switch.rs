//! Where an account of the platform may act: on the platform, and in the tenants into which the live grants of its identity
//! let it. Only the platform vouches for an address, so accounts of tenants have no identity and no places.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::json;
use time::OffsetDateTime;

use crate::identity::{Account, AccountStatus, GrantRole, accounts::identities};
use crate::{
    base::{Cx, Error, Result, Role, TenantRef, error::Reason},
    store::{Store, Tx, entities::accounts as rows, scopes},
    tenants::{Status, Tenant},
};

/// A tenant in which an account may act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The tenant.
    pub tenant: Tenant,
    /// The role that the grant gives.
    pub role: GrantRole,
    /// Whether a login begins there.
    pub is_default: bool,
    /// When the grant ends.
    pub ends: Option<OffsetDateTime>,
}

/// An account and where it acts; nowhere is on the platform, with its own role.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The account.
    pub account: Account,
    /// The tenant.
    pub place: Option<Place>,
}

/// The tenants in which the account that calls may act, the oldest grant first.
pub async fn list(cx: &Cx, store: &Store) -> Result<Vec<Place>> {
    match own(cx, store.read()).await? {
        Some(account) => places(store.read(), &account, store.clock().now()).await,
        None => Ok(Vec::new()),
    }
}

/// Where a login of an account begins: an account of the platform that is no administrator in the tenant of its default
/// grant, else in that of its oldest live one. An administrator's begins on the platform.
pub async fn first(store: &Store, account: &Account) -> Result<Option<Place>> {
    if account.tenant.is_some() || account.role == Role::PlatformAdmin {
        return Ok(None);
    }
    let mut places = places(store.read(), account, store.clock().now()).await?;
    let first = places.iter().position(|place| place.is_default).unwrap_or(0);
    Ok((first < places.len()).then(|| places.swap_remove(first)))
}

/// Lets the account that calls act elsewhere, and notes that in the audit log. Fails with PERMISSION_DENIED where it may
/// not, whether there is such a tenant or not.
pub async fn switch(cx: &Cx, store: &Store, to: Option<&TenantRef>) -> Result<Seat> {
    store.write(cx, to.cloned(), seat).await
}

async fn seat(tx: &Tx, to: &Option<TenantRef>) -> Result<Seat> {
    // The account before its grants: whoever deletes a grant meanwhile raises the epoch after the one that is read here.
    let account = own(tx.cx(), tx.conn()).await?.ok_or_else(no_access)?;
    let place = match to {
        None => None,
        Some(to) => {
            let mut places = places(tx.conn(), &account, tx.now()).await?.into_iter();
            let is_meant = |place: &Place| to.names(place.tenant.id, &place.tenant.name.key());
            Some(places.find(is_meant).ok_or_else(no_access)?)
        }
    };
    let tenant = place.as_ref().map(|place| &place.tenant);
    let target = tenant.map_or("platform", |tenant| tenant.name.as_str());
    let details = json!({"account": account.id, "role": place.as_ref().map(|place| place.role.as_str())});
    tx.audit_only(tenant.map(|tenant| tenant.id), target, details);
    Ok(Seat { account, place })
}

/// The platform's account that calls, if it may still log in. Keys, minted tokens and accounts of tenants are none.
async fn own(cx: &Cx, conn: &impl ConnectionTrait) -> Result<Option<Account>> {
    let Some(id) = cx.caller.account else { return Ok(None) };
    let row = rows::Entity::find_by_id(id)
        .filter(rows::Column::TenantId.is_null())
        .filter(rows::Column::Status.eq(AccountStatus::Active.as_str()))
        .one(conn)
        .await?;
    row.map(Account::try_from).transpose()
}

/// The tenants of the live grants of an account's identity: a grant that has not ended, in a tenant that is active.
async fn places(conn: &impl ConnectionTrait, account: &Account, now: OffsetDateTime) -> Result<Vec<Place>> {
    let Some(identity) = account.identity else { return Ok(Vec::new()) };
    if !identities::by_id(conn, identity).await?.is_some_and(|identity| identity.is_active) {
        return Ok(Vec::new());
    }
    let mut places = Vec::new();
    for (grant, tenant) in scopes::grants_of_identity(conn, identity).await? {
        let (grant, tenant) = (crate::identity::Grant::try_from(grant)?, Tenant::try_from(tenant)?);
        if tenant.status == Status::Active && grant.expires_at.is_none_or(|end| end > now) {
            places.push(Place { tenant, role: grant.role, is_default: grant.is_default, ends: grant.expires_at });
        }
    }
    Ok(places)
}

fn no_access() -> Error {
    Error::denied(Reason::AccountNotGranted, "You do not have access to the selected account.")
}
