//! The tenants in which a platform account can act, in addition to the platform: the tenants of its identity's live grants.
//! Accounts of tenants have no identity and cannot switch, because only the platform verifies addresses.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::identity::{Account, AccountStatus, GrantRole, accounts::identities, sessions::records};
use crate::{
    base::{Cx, Error, Result, Role, TenantRef, error::Reason},
    store::{
        Db, Fetch, Stamp, Store, Tx,
        tables::{self, accounts as rows},
    },
    tenants::{Status, Tenant},
};

/// A tenant that an account can switch to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchTarget {
    pub tenant: Tenant,
    pub role: GrantRole,
    /// Whether logins start in this tenant.
    pub is_default: bool,
    /// When the grant expires, by the clock of this server.
    pub ends: Option<OffsetDateTime>,
    /// When the grant expires, by the clock of the database.
    grant_expires_at: Option<OffsetDateTime>,
    grant: Uuid,
    chosen_at: Option<Stamp>,
}

/// The present by the clock of the database, which decides whether a grant has expired, and by that of this server.
#[derive(Clone, Copy)]
struct Now {
    shared: OffsetDateTime,
    here: OffsetDateTime,
}

impl Now {
    async fn of(store: &Store) -> Result<Self> {
        let shared = store.time().await?;
        Ok(Self { shared, here: store.clock().now() })
    }

    async fn of_write(tx: &Tx) -> Result<Self> {
        let shared = tx.time().await?;
        Ok(Self { shared, here: tx.now() })
    }

    /// A time of the shared clock, by the clock of this server.
    fn here(self, shared: OffsetDateTime) -> OffsetDateTime {
        shared.checked_add(self.here - self.shared).unwrap_or(shared)
    }
}

/// An account and the tenant it acts in; without one, it acts on the platform with its own role.
#[derive(Clone, Debug)]
pub struct ActingAccount {
    pub account: Account,
    pub target: Option<SwitchTarget>,
}

/// The tenants that the caller's account can act in, oldest grant first.
pub async fn list(cx: &Cx, store: &Store) -> Result<Vec<SwitchTarget>> {
    match own(cx, store.read()).await? {
        Some(account) => targets(store.read(), &account, Now::of(store).await?).await,
        None => Ok(Vec::new()),
    }
}

/// The tenant in which a login starts, whose session is the one of this token. An administrator starts on the platform; another platform
/// account in the tenant that it chose last, else in that of its default grant, else in that of its oldest live one.
pub async fn initial_target(store: &Store, account: &Account, token_id: &str) -> Result<Option<SwitchTarget>> {
    if account.tenant.is_some() || account.role == Role::PlatformAdmin {
        return Ok(None);
    }
    let targets = targets(store.read(), account, Now::of(store).await?).await?;
    // Of equal ones the first: the oldest.
    let first = targets.into_iter().rev().max_by_key(|target| (target.chosen_at, target.is_default));
    if let Some(ends) = first.as_ref().and_then(|target| target.grant_expires_at) {
        records::bind(store, token_id, ends).await?;
    }
    Ok(first)
}

/// Switches the caller's account to a tenant, or to the platform, and records that and the session, given by the id of its
/// token and its expiry. Fails with PERMISSION_DENIED without access, whether the tenant exists or not.
pub async fn switch(
    cx: &Cx,
    store: &Store,
    to: Option<TenantRef>,
    session: (String, OffsetDateTime),
) -> Result<ActingAccount> {
    store.write(cx, (to, session), switch_in).await
}

async fn switch_in(tx: &Tx, (to, session): &(Option<TenantRef>, (String, OffsetDateTime))) -> Result<ActingAccount> {
    // The account is read before its grants: a concurrent deletion of a grant raises the epoch after this read.
    let account = own(tx.cx(), tx.conn()).await?.ok_or_else(no_access)?;
    let now = Now::of_write(tx).await?;
    let target = match to {
        None => None,
        Some(to) => {
            let mut targets = targets(tx.conn(), &account, now).await?.into_iter();
            let is_meant = |target: &SwitchTarget| to.names(target.tenant.id, &target.tenant.name.key());
            Some(targets.find(is_meant).ok_or_else(no_access)?)
        }
    };
    let (token_id, expires_at) = session;
    let grant_ends = target.as_ref().and_then(|target| target.grant_expires_at);
    records::note_granted(tx, &account, token_id, *expires_at, grant_ends).await?;
    if let Some(target) = &target {
        tables::choose_grant(tx.conn(), target.grant, now.shared.into()).await?;
    }
    let tenant = target.as_ref().map(|target| &target.tenant);
    let audit_target = tenant.map_or("platform", |tenant| tenant.name.as_str());
    let details = json!({"account": account.id, "role": target.as_ref().map(|target| target.role.as_str())});
    tx.audit_only(tenant.map(|tenant| tenant.id), audit_target, details);
    Ok(ActingAccount { account, target })
}

/// The caller's platform account, if it may still log in. None for keys, minted tokens and accounts of tenants.
async fn own(cx: &Cx, conn: &impl Db) -> Result<Option<Account>> {
    let Some(id) = cx.caller.account else { return Ok(None) };
    let row = rows::Entity::find_by_id(id)
        .filter(rows::Column::TenantId.is_null())
        .filter(rows::Column::Status.eq(AccountStatus::Active))
        .fetch_one(conn)
        .await?;
    Ok(row.map(Account::from))
}

/// The tenants of the live grants of an account's identity: grants that have not expired, in active tenants.
async fn targets(conn: &impl Db, account: &Account, now: Now) -> Result<Vec<SwitchTarget>> {
    let Some(identity) = account.identity else { return Ok(Vec::new()) };
    if !identities::by_id(conn, identity).await?.is_some_and(|identity| identity.is_active) {
        return Ok(Vec::new());
    }
    let mut targets = Vec::new();
    for (grant, tenant) in tables::grants_of_identity(conn, identity).await? {
        let (chosen_at, grant, tenant) = (grant.chosen_at, crate::identity::Grant::from(grant), Tenant::from(tenant));
        if tenant.status == Status::Active && grant.expires_at.is_none_or(|end| end > now.shared) {
            targets.push(SwitchTarget {
                tenant,
                role: grant.role,
                is_default: grant.is_default,
                ends: grant.expires_at.map(|end| now.here(end)),
                grant_expires_at: grant.expires_at,
                grant: grant.id,
                chosen_at,
            });
        }
    }
    Ok(targets)
}

fn no_access() -> Error {
    Error::denied(Reason::AccountNotGranted, "You do not have access to the selected account.")
}
