//! Groups of the accounts of a tenant (zero-trust contract, section 4.3).

pub mod lists;
pub(in crate::identity) mod members;
pub(in crate::identity) mod rules;

use serde_json::{Value, json};
use uuid::Uuid;

use self::rules::Edit;
use crate::{
    base::{Cx, Error, IdKind, Page, PageRequest, Result, TenantId, TenantRef, TenantScope, error::Reason},
    store::{Change, ChangeKind, Resource, Stamp, Store, Tx, columns::Source, like, tables::GroupRow},
    tenants,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub tenant: TenantId,
    pub row: GroupRow,
    /// Number of members.
    pub members: u64,
}

#[derive(Clone, Debug, Default)]
pub struct NewGroup {
    pub name: String,
    pub description: String,
    /// The policy that applies to the members.
    pub policy_id: Option<String>,
    /// The initial members by id, name or email address.
    pub users: Vec<String>,
}

/// A change of a group; the default changes nothing.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    pub name: Option<String>,
    pub description: Option<String>,
    /// A new policy for the members; an empty text removes it.
    pub policy_id: Option<String>,
}

/// A reference to a group in a request.
#[derive(Clone, Debug)]
pub struct GroupRef {
    pub tenant: TenantRef,
    /// The public id.
    pub id: String,
    /// The expected version, if the call must fail on another one.
    pub version: Option<i64>,
}

impl Group {
    pub fn shown_id(&self) -> String {
        IdKind::Group.show(self.row.id)
    }
}

/// A page of the groups whose name contains `text`, compared case-insensitively.
pub async fn page(cx: &Cx, store: &Store, tenant: &TenantRef, text: &str, request: PageRequest) -> Result<Page<Group>> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let rows = store.tenant(scope);
    let (found, total) = match like::may_occur(text) {
        true => rows.groups().page(text, request).await?,
        false => (Vec::new(), 0),
    };
    let page = Page::cut(request, found, total, |group| group.id);
    let ids: Vec<_> = page.items.iter().map(|group| group.id).collect();
    let counts = rows.group_members().counts(&ids).await?;
    Ok(page.map(|row| Group { tenant: scope.tenant(), members: counts.get(&row.id).copied().unwrap_or_default(), row }))
}

/// Creates a group. Fails with INVALID_ARGUMENT for an invalid name, description or policy id and for users
/// that the tenant does not have, with ALREADY_EXISTS if the name is taken (case-insensitively).
pub async fn create(cx: &Cx, store: &Store, tenant: &TenantRef, new: NewGroup) -> Result<Group> {
    store.write(cx, (tenant.clone(), rules::check_new(new)?), insert).await
}

async fn insert(tx: &Tx, (tenant, new): &(TenantRef, NewGroup)) -> Result<Group> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let accounts = members::resolve(tx, scope, &new.users).await?;
    let now = Stamp::from(tx.now());
    let row = GroupRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        name: new.name.clone(),
        name_key: String::new(),
        description: new.description.clone(),
        source: Source::Local,
        external_id: None,
        policy_id: new.policy_id.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let rows = tx.tenant(scope);
    rows.groups().insert(&row).await?;
    let added = rows.group_members().add_to(row.id, &accounts, now).await?;
    members::renew_policies(tx, scope, &added).await?;
    let details = json!({"name": row.name, "policy_id": row.policy_id, "members": public_ids(&added)});
    record(tx, scope, &row, ChangeKind::Created, details);
    Ok(Group { tenant: scope.tenant(), row, members: added.len() as u64 })
}

/// Changes a group. Fails as [`create`] does, with NOT_FOUND if there is no such group, with ABORTED if the
/// version differs, with FAILED_PRECONDITION for the name of a group that a directory manages.
pub async fn update(cx: &Cx, store: &Store, group: &GroupRef, change: GroupChange) -> Result<Group> {
    store.write(cx, (group.clone(), rules::check_change(change)?), update_in).await
}

async fn update_in(tx: &Tx, (group, change): &(GroupRef, GroupChange)) -> Result<Group> {
    let (scope, before) = locked(tx, group).await?;
    let mut row = rules::changed(before.clone(), change)?;
    if row != before {
        put(tx, scope, &mut row).await?;
    }
    let recorded =
        |row: &GroupRow| json!({"name": row.name, "description": row.description, "policy_id": row.policy_id});
    record(tx, scope, &row, ChangeKind::Updated, json!({"before": recorded(&before), "after": recorded(&row)}));
    counted(tx, scope, row).await
}

/// Adds users to a group; those who are members already stay. Fails as [`update`] does, and with
/// INVALID_ARGUMENT, without adding any, for users that the tenant does not have.
pub async fn add_members(cx: &Cx, store: &Store, group: &GroupRef, users: Vec<String>) -> Result<Group> {
    change_members(cx, store, group, users, true).await
}

/// Removes users from a group; those who are not members are ignored. Fails as [`add_members`] does.
pub async fn remove_members(cx: &Cx, store: &Store, group: &GroupRef, users: Vec<String>) -> Result<Group> {
    change_members(cx, store, group, users, false).await
}

async fn change_members(cx: &Cx, store: &Store, group: &GroupRef, users: Vec<String>, add: bool) -> Result<Group> {
    members::check_given(&users)?;
    store.write(cx, (group.clone(), users, add), change_members_in).await
}

async fn change_members_in(tx: &Tx, (group, users, add): &(GroupRef, Vec<String>, bool)) -> Result<Group> {
    let (scope, mut row) = locked(tx, group).await?;
    rules::refuse(&row, Edit::Members)?;
    let accounts = members::resolve(tx, scope, users).await?;
    let rows = tx.tenant(scope).group_members();
    let changed = match add {
        true => rows.add_to(row.id, &accounts, tx.now().into()).await?,
        false => rows.remove_from(row.id, &accounts).await?,
    };
    if !changed.is_empty() {
        put(tx, scope, &mut row).await?;
        members::renew_policies(tx, scope, &changed).await?;
    }
    let word = if *add { "added" } else { "removed" };
    record(tx, scope, &row, ChangeKind::Members, json!({"name": row.name, word: public_ids(&changed)}));
    counted(tx, scope, row).await
}

/// Adds an account that was created in the same write to groups. Fails with INVALID_ARGUMENT for a group that
/// the tenant does not have, with FAILED_PRECONDITION for a group whose members a directory manages.
pub(super) async fn join(tx: &Tx, scope: TenantScope, groups: &[Uuid], account: Uuid) -> Result<()> {
    let rows = tx.tenant(scope);
    for id in groups {
        let unknown = || Error::invalid(Reason::GroupNotFound, "group_ids", "group not found");
        let mut row = rows.groups().get_locked(*id).await?.ok_or_else(unknown)?;
        rules::refuse(&row, Edit::Members)?;
        if !rows.group_members().add_to(row.id, &[account], tx.now().into()).await?.is_empty() {
            put(tx, scope, &mut row).await?;
            tx.also_changed(change(scope, &row, ChangeKind::Members));
        }
    }
    Ok(())
}

/// Loads and locks the group of a call.
pub(super) async fn locked(tx: &Tx, group: &GroupRef) -> Result<(TenantScope, GroupRow)> {
    let (_, scope) = tenants::resolve_locked(tx, &group.tenant).await?;
    let id = IdKind::Group.read(&group.id).ok_or_else(not_found)?;
    let row = tx.tenant(scope).groups().get_locked(id).await?.ok_or_else(not_found)?;
    if group.version.is_some_and(|version| version != row.version) {
        return Err(rules::stale());
    }
    Ok((scope, row))
}

/// Stores a changed group as its next version.
async fn put(tx: &Tx, scope: TenantScope, row: &mut GroupRow) -> Result<()> {
    row.version += 1;
    row.updated_at = tx.now().into();
    tx.tenant(scope).groups().update(row).await
}

pub(super) async fn counted(tx: &Tx, scope: TenantScope, row: GroupRow) -> Result<Group> {
    let counts = tx.tenant(scope).group_members().counts(&[row.id]).await?;
    Ok(Group { tenant: scope.tenant(), members: counts.get(&row.id).copied().unwrap_or_default(), row })
}

fn not_found() -> Error {
    Error::not_found(Reason::GroupNotFound, "group not found")
}

fn public_ids(accounts: &[Uuid]) -> Vec<String> {
    accounts.iter().map(|account| IdKind::User.show(*account)).collect()
}

pub(super) fn record(tx: &Tx, scope: TenantScope, row: &GroupRow, kind: ChangeKind, details: Value) {
    tx.changed(change(scope, row, kind), IdKind::Group.show(row.id), details);
}

/// Membership changes do not raise the version of the group.
pub(super) fn members_changed(scope: TenantScope, id: Uuid) -> Change {
    Change::new(Resource::Group, ChangeKind::Members, IdKind::Group.show(id)).within(scope.tenant())
}

fn change(scope: TenantScope, row: &GroupRow, kind: ChangeKind) -> Change {
    Change::new(Resource::Group, kind, IdKind::Group.show(row.id)).within(scope.tenant()).at(row.version)
}
