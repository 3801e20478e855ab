//! Enrollment tokens: for devices and gateways (zero-trust contract, section 4.7), and for hosts.

mod again;
mod of_hosts;
mod revocation;
mod rules;
mod secret;

use serde_json::json;
use uuid::Uuid;

use crate::{
    base::{
        Cx, EnrolledKind, Error, IdKind, Page, PageRequest, Reach, Result, Secret, TenantId, TenantRef, TenantScope,
        error::Reason,
    },
    identity::{accounts, groups::lists},
    store::{
        Change, ChangeKind, Resource, Store, Tx,
        columns::Json,
        tables::{CredentialRow, EnrollmentTokenRow, TokenFilter},
    },
    tenants,
};

pub use again::insert_for_device;
pub use of_hosts::{NewHostToken, generate_for_hosts, list_for_hosts, revoke_for_hosts};
pub use revocation::{Revocation, revoke};
pub use rules::kind;
pub use secret::{NewSecret, Stored};

/// Maximum number of uses that are returned with a token.
const USES: u64 = 1000;

/// An enrollment token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentToken {
    pub tenant: TenantId,
    pub row: EnrollmentTokenRow,
}

/// A generated token.
#[derive(Clone, Debug)]
pub struct GeneratedToken {
    pub token: EnrollmentToken,
    /// The whole token, which is not stored.
    pub text: Secret<String>,
}

/// What a new token enrolls.
#[derive(Clone, Debug)]
pub enum Enrolls {
    Devices {
        /// The user of the devices, by id, name or email address.
        user: Option<String>,
        /// Public ids of the groups of the devices.
        groups: Vec<String>,
        ephemeral: bool,
    },
    Gateways {
        /// The public id of their pool.
        pool: String,
    },
}

#[derive(Clone, Debug)]
pub struct NewTokens {
    pub enrolls: Enrolls,
    pub name: String,
    /// Lifetime in seconds; defaults to a day.
    pub expires_in: Option<i64>,
    /// Defaults to once; 0 for any number of times.
    pub max_uses: Option<i64>,
    /// Confirms any number of times.
    pub reusable: bool,
    /// Defaults to true, except for callers who may only generate their own tokens.
    pub pre_approved: Option<bool>,
    /// Defaults to one.
    pub count: Option<i32>,
}

/// What is listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<String>,
    pub kind: Option<String>,
}

impl EnrollmentToken {
    pub fn shown_id(&self) -> String {
        IdKind::EnrollmentToken.show(self.row.id)
    }

    fn change(&self, kind: ChangeKind) -> Change {
        Change::new(Resource::EnrollmentToken, kind, self.shown_id()).within(self.tenant)
    }
}

/// A page of the tokens of a tenant for devices and gateways, including those that can no longer be used; for [`Reach::Own`], those that the caller
/// generated. Fails with INVALID_ARGUMENT for an unknown status or kind.
pub async fn page(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    filter: &Filter,
    reach: Reach,
    request: PageRequest,
) -> Result<Page<EnrollmentToken>> {
    let state = filter.status.as_deref().map(rules::state).transpose()?;
    let wanted = TokenFilter {
        kind: filter.kind.as_deref().map(rules::kind).transpose()?,
        state: state.map(|state| (state, store.clock().now().into())),
        creator: (reach == Reach::Own).then_some(cx.caller.account),
    };
    let scope = tenants::reach(cx, store, tenant).await?;
    let (rows, total) = store.tenant(scope).enrollment_tokens().page(&wanted, request).await?;
    let page = Page::cut(request, rows, total, |row| row.id);
    Ok(page.map(|row| EnrollmentToken { tenant: scope.tenant(), row }))
}

/// A token for devices or gateways with its last uses, newest first; for [`Reach::Own`], one that the caller generated. Fails with NOT_FOUND if there is none.
pub async fn get(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    id: &str,
    reach: Reach,
) -> Result<(EnrollmentToken, Vec<CredentialRow>)> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let id = IdKind::EnrollmentToken.read(id).ok_or_else(not_found)?;
    let row = store.tenant(scope).enrollment_tokens().get(id).await?;
    let row = row.filter(|row| is_reached(cx, reach, row)).ok_or_else(not_found)?;
    let uses = store.tenant(scope).credentials().uses_of(row.id, USES).await?;
    Ok((EnrollmentToken { tenant: scope.tenant(), row }, uses))
}

/// Whether a token is one for devices or gateways, and within reach.
fn is_reached(cx: &Cx, reach: Reach, row: &EnrollmentTokenRow) -> bool {
    let own = row.creator_id.is_some() && row.creator_id == cx.caller.account;
    row.kind.enrolled().is_some() && (reach == Reach::All || own)
}

/// Generates tokens. Fails with INVALID_ARGUMENT for an invalid member, and for a user, groups or a pool that the tenant does not
/// have; with PERMISSION_DENIED for what [`Reach::Own`] does not allow.
pub async fn generate(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    new: NewTokens,
    reach: Reach,
) -> Result<Vec<GeneratedToken>> {
    let checked = rules::check(cx, new, reach)?;
    let secrets: Vec<_> = (0..checked.count).map(|_| NewSecret::generate()).collect();
    let stored = secrets.iter().map(NewSecret::stored).collect();
    let tokens = store.write(cx, (tenant.clone(), checked, stored), insert).await?;
    let texts = secrets.into_iter().map(NewSecret::into_text);
    Ok(tokens.into_iter().zip(texts).map(|(token, text)| GeneratedToken { token, text }).collect())
}

async fn insert(
    tx: &Tx,
    (tenant, new, stored): &(TenantRef, rules::Checked, Vec<Stored>),
) -> Result<Vec<EnrollmentToken>> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let found = found(tx, scope, new).await?;
    let now = tx.now();
    let expires_at = now + new.life;
    let row = |stored: &Stored| EnrollmentTokenRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        kind: found.kind.into(),
        name: new.name.clone(),
        prefix: stored.prefix.clone(),
        secret_hash: stored.digest.clone(),
        max_uses: new.max_uses,
        use_count: 0,
        account_id: found.account,
        group_ids: Json(found.groups.clone()),
        pool_id: found.pool,
        device_id: None,
        pre_approved: new.pre_approved,
        ephemeral: found.ephemeral,
        created_by: tx.cx().caller.subject.clone(),
        creator_id: tx.cx().caller.account,
        created_at: now.into(),
        expires_at: Some(expires_at.into()),
        last_used_at: None,
        revoked_at: None,
    };
    let tokens: Vec<_> =
        stored.iter().map(|stored| EnrollmentToken { tenant: scope.tenant(), row: row(stored) }).collect();
    tx.tenant(scope).enrollment_tokens().insert(tokens.iter().map(|token| token.row.clone()).collect()).await?;
    let details = json!({
        "kind": found.kind.as_str(), "name": new.name, "max_uses": new.max_uses, "pre_approved": new.pre_approved,
        "expires_at": expires_at.unix_timestamp(), "user_id": found.account.map(|id| IdKind::User.show(id)),
        "pool_id": found.pool.map(|id| IdKind::GatewayPool.show(id)),
        "group_ids": found.groups.iter().map(|id| IdKind::Group.show(*id)).collect::<Vec<_>>(),
        "token_ids": tokens.iter().map(EnrollmentToken::shown_id).collect::<Vec<_>>(),
    });
    let mut each = tokens.iter();
    if let Some(first) = each.next() {
        tx.changed(first.change(ChangeKind::Created), first.shown_id(), details);
    }
    each.for_each(|token| tx.also_changed(token.change(ChangeKind::Created)));
    Ok(tokens)
}

/// The resources that a new token refers to.
struct Found {
    kind: EnrolledKind,
    account: Option<Uuid>,
    groups: Vec<Uuid>,
    pool: Option<Uuid>,
    ephemeral: bool,
}

/// Finds the resources that a new token refers to, and locks its pool.
async fn found(tx: &Tx, scope: TenantScope, new: &rules::Checked) -> Result<Found> {
    match &new.enrolls {
        rules::Enrolls::Devices { user, groups, ephemeral } => {
            let account = match user {
                None => None,
                Some(rules::User::Caller(account)) => Some(*account),
                Some(rules::User::Named(user)) => {
                    let unknown = || Error::invalid(Reason::AccountNotFound, "user_id", "user not found");
                    Some(accounts::find(tx.conn(), Some(scope), user).await?.ok_or_else(unknown)?.id)
                }
            };
            lists::require(tx, scope, "group_ids", groups).await?;
            let (groups, ephemeral) = (groups.clone(), *ephemeral);
            Ok(Found { kind: EnrolledKind::Device, account, groups, pool: None, ephemeral })
        }
        rules::Enrolls::Gateways { pool } => {
            let row = tx.tenant(scope).gateway_pools().get_locked(*pool).await?;
            row.ok_or_else(rules::unknown_pool)?;
            let kind = EnrolledKind::Gateway;
            Ok(Found { kind, account: None, groups: Vec::new(), pool: Some(*pool), ephemeral: false })
        }
    }
}

fn not_found() -> Error {
    Error::not_found(Reason::EnrollmentTokenNotFound, "enrollment token not found")
}
