//! The users of a tenant: lookup and lists (zero-trust contract, section 4.2).

pub(in crate::identity) mod ceiling;
pub(in crate::identity) mod last_admin;
pub mod lifecycle;
pub mod password;
pub(in crate::identity) mod rules;
pub mod suspension;
pub(in crate::identity) mod user;

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, Select,
    sea_query::{Expr, Func},
};
use serde_json::Value;
use uuid::Uuid;

use self::user::load_users;
use super::{Account, AccountChange, AccountStatus, RoleGrant, User, UserRef, accounts};
use crate::{
    base::{Cx, Error, IdKind, Page, PageRequest, Reach, Result, Role, TenantRef, TenantScope, error::Reason, text},
    store::{
        ChangeKind, Fetch, Store, Tx, like,
        page::page as rows_of_page,
        tables::accounts::{Column, Entity, Model},
    },
    tenants::{self, Tenant},
};

/// Filter of a list of users; the default matches all that are not deleted.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Matches users whose id, email address or display name contains this text, compared in normal form and
    /// case-insensitively.
    pub text: String,
    pub status: Option<String>,
    /// A role that the user has in the whole tenant.
    pub role: Option<String>,
    /// The public id of a group that the user is a member of.
    pub group: Option<String>,
}

/// A user that is locked for the rest of the write.
pub(super) struct LockedUser {
    pub tenant: Tenant,
    pub scope: TenantScope,
    pub row: Model,
    pub user: User,
}

/// A page of the users of a tenant, oldest first. Callers with access only to their own account get only that.
pub async fn page(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    filter: &UserFilter,
    reach: Reach,
    request: PageRequest,
) -> Result<Page<User>> {
    let parsed = ParsedFilter::read(filter)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let mut query = parsed.query(store, scope);
    if reach == Reach::Own {
        query = query.filter(Column::Id.is_in(cx.caller.account));
    }
    let (rows, total) = rows_of_page(query, Column::Id, request, store.read()).await?;
    let found = rows.into_iter().map(Account::from).collect();
    let page = Page::cut(request, found, total, |account| account.id);
    let items = load_users(&store.tenant(scope), page.items, store.clock().now()).await?;
    Ok(Page { items, next: page.next, total: page.total })
}

pub async fn get(cx: &Cx, store: &Store, tenant: &TenantRef, account: Uuid) -> Result<User> {
    let user = IdKind::User.show(account);
    find(cx, store, &UserRef { tenant: tenant.clone(), user, version: None }).await
}

/// The account of the caller as a user, if the caller logged in.
pub async fn of_caller(cx: &Cx, store: &Store) -> Result<Option<User>> {
    let Some(account) = cx.caller.account else { return Ok(None) };
    if let Some(own) = &cx.caller.tenant {
        return get(cx, store, &TenantRef::Id(own.id), account).await.map(Some);
    }
    let row = accounts::find(store.read(), None, &IdKind::User.show(account)).await?.ok_or_else(accounts::not_found)?;
    // A platform account has no groups and no grants here.
    let account = Account::from(row);
    Ok(Some(User { roles: vec![RoleGrant::own(&account)], groups: Vec::new(), account }))
}

/// The user that a call names, if the caller may change it. Callers with access only to their own account do
/// not learn which other accounts exist.
pub(super) async fn find_within(cx: &Cx, store: &Store, user: &UserRef, reach: Reach) -> Result<User> {
    match find(cx, store, user).await {
        Ok(found) => rules::admitted(&cx.caller, reach, &found).map(|()| found),
        Err(error) if error.reason == Reason::AccountNotFound && reach == Reach::Own => Err(rules::only_own()),
        Err(error) => Err(error),
    }
}

async fn find(cx: &Cx, store: &Store, user: &UserRef) -> Result<User> {
    let scope = tenants::reach(cx, store, &user.tenant).await?;
    let row = accounts::find(store.read(), Some(scope), &user.user).await?.ok_or_else(accounts::not_found)?;
    one(load_users(&store.tenant(scope), vec![row.into()], store.clock().now()).await?)
}

/// The current password hash of a user, and the epoch of the account.
pub(super) async fn password_hash(store: &Store, user: &User) -> Result<(String, i64)> {
    let row = Entity::find_by_id(user.account.id).fetch_one(store.read()).await?;
    row.map(|row| (row.password_hash, row.epoch)).ok_or_else(accounts::not_found)
}

/// Loads and locks the user that a call names.
pub(super) async fn lock(tx: &Tx, user: &UserRef) -> Result<LockedUser> {
    let (tenant, scope) = tenants::resolve_locked(tx, &user.tenant).await?;
    let row = accounts::find_locked(tx, Some(scope), &user.user).await?.ok_or_else(accounts::not_found)?;
    if user.version.is_some_and(|version| version != row.version) {
        return Err(rules::stale());
    }
    let user = as_user(tx, scope, row.clone().into()).await?;
    Ok(LockedUser { tenant, scope, row, user })
}

/// An account of the tenant as a user, inside a write.
pub(super) async fn as_user(tx: &Tx, scope: TenantScope, account: Account) -> Result<User> {
    one(load_users(&tx.tenant(scope), vec![account], tx.now()).await?)
}

/// Changes the account of a locked user.
pub(in crate::identity) async fn put(tx: &Tx, held: &LockedUser, change: &AccountChange) -> Result<User> {
    let account = accounts::change(tx, held.row.clone(), change).await?;
    as_user(tx, held.scope, account).await
}

/// Records what a call did to a locked user, which may be unchanged.
pub(in crate::identity) fn record(tx: &Tx, kind: ChangeKind, held: &LockedUser, after: &User, details: Value) {
    let target = held.user.account.shown_id();
    match held.row.version == after.account.version {
        true => tx.audit_only(Some(held.tenant.id), target, details),
        false => tx.changed(after.account.change(kind), target, details),
    }
}

fn one(users: Vec<User>) -> Result<User> {
    users.into_iter().next().ok_or_else(accounts::not_found)
}

/// A parsed filter.
struct ParsedFilter {
    text: String,
    status: Option<AccountStatus>,
    role: Option<Role>,
    group: Option<Uuid>,
}

impl ParsedFilter {
    fn read(filter: &UserFilter) -> Result<Self> {
        let no = |field, message: &'static str| Error::invalid(Reason::InvalidArgument, field, message);
        let status = |word: &String| {
            let known = AccountStatus::ALL.into_iter().find(|status| status.as_str() == word);
            known.ok_or_else(|| no("status", "must be one of invited, active, suspended, deleted"))
        };
        let role = |word: &String| word.parse().map_err(|_| no("role", "role not found"));
        let group = |id: &String| IdKind::Group.read(id).ok_or_else(|| no("group_id", "not a group id"));
        Ok(Self {
            text: text::fold(&filter.text),
            status: filter.status.as_ref().map(status).transpose()?,
            role: filter.role.as_ref().map(role).transpose()?,
            group: filter.group.as_ref().map(group).transpose()?,
        })
    }

    fn query(&self, store: &Store, scope: TenantScope) -> Select<Entity> {
        let rows = store.tenant(scope);
        let mut query = accounts::in_place(Some(scope)).filter(match self.status {
            Some(status) => Column::Status.eq(status),
            None => Column::Status.ne(AccountStatus::Deleted),
        });
        if !self.text.is_empty() {
            query = query.filter(self.holds_text());
        }
        if let Some(role) = self.role {
            let granted = Column::Id.in_subquery(rows.account_roles().holders(role, store.clock().now().into()));
            query = query.filter(Condition::any().add(Column::Role.eq(role)).add(granted));
        }
        if let Some(group) = self.group {
            query = query.filter(Column::Id.in_subquery(rows.group_members().accounts_in(group)));
        }
        query
    }

    fn holds_text(&self) -> Condition {
        if !like::may_occur(&self.text) {
            return Condition::all().add(Expr::value(false));
        }
        // The filter and the row are folded by the same function, because `lower` differs between databases.
        let columns = [
            Expr::col(Column::UsernameKey),
            Expr::col(Column::EmailKey),
            Func::lower(Expr::col(Column::DisplayName)).into(),
        ];
        // Rows of older versions have an empty search key: search their columns as those versions did.
        let unfilled =
            columns.into_iter().fold(Condition::any(), |any, column| any.add(column.like(like::holding(&self.text))));
        let unfilled = Condition::all().add(Column::SearchKey.eq("")).add(unfilled);
        Condition::any().add(Column::SearchKey.like(like::holding(&self.text))).add(unfilled)
    }
}
