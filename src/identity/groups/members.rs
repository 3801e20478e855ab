//! Resolves lists of users that a caller names by id, name or email address.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, Condition, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::identity::{AccountStatus, Email, accounts};
use crate::{
    base::{Error, IdKind, Result, TenantScope, error::Reason, names::fold},
    store::{Fetch, Tx, tables::accounts::Column},
};

/// Maximum number of users in a call (zero-trust contract, section 4.3).
pub(in crate::identity) const MOST: usize = 500;
/// Maximum number of unknown users listed in an error.
const REPEATED: usize = 10;
/// Maximum number of characters of each in an error.
const SHOWN: usize = 64;
/// Maximum length of a text that names a user, in bytes.
const LONGEST: usize = 254;
const FIELD: &str = "user_ids";

/// Checks the length of a list that must not be empty.
pub(in crate::identity) fn check_given(users: &[String]) -> Result<()> {
    match users.len() {
        0 => Err(Error::invalid(Reason::InvalidArgument, FIELD, "name at least one user")),
        1..=MOST => Ok(()),
        _ => Err(too_many()),
    }
}

pub(in crate::identity) fn too_many() -> Error {
    Error::invalid(Reason::InvalidArgument, FIELD, format!("at most {MOST} users at once"))
}

/// The accounts of users without duplicates, in the order given. Fails with a list of the users that the tenant
/// does not have; users of other tenants look the same as users that do not exist.
pub(in crate::identity) async fn resolve(tx: &Tx, scope: TenantScope, users: &[String]) -> Result<Vec<Uuid>> {
    let found = find(tx, scope, users).await?;
    let mut seen = BTreeSet::new();
    let mut accounts = Vec::with_capacity(users.len());
    let mut unknown = Vec::new();
    for user in users {
        match found.account(user) {
            Some(account) if seen.insert(account) => accounts.push(account),
            Some(_) => {}
            None => unknown.push(user.as_str()),
        }
    }
    if unknown.is_empty() { Ok(accounts) } else { Err(unknown_users(&unknown)) }
}

/// Accounts by id, name and email address.
#[derive(Default)]
struct Found {
    ids: BTreeSet<Uuid>,
    names: HashMap<String, Uuid>,
    emails: HashMap<String, Uuid>,
}

impl Found {
    /// As in [`accounts::find`]: a text in the form of an id is an id, and names take precedence over addresses.
    fn account(&self, user: &str) -> Option<Uuid> {
        match IdKind::User.read(user) {
            Some(id) => self.ids.get(&id).copied(),
            None => self.names.get(&fold(user)).copied().or_else(|| self.addressed(user)),
        }
    }

    fn addressed(&self, user: &str) -> Option<Uuid> {
        Email::keys(user).iter().find_map(|key| self.emails.get(key)).copied()
    }
}

async fn find(tx: &Tx, scope: TenantScope, users: &[String]) -> Result<Found> {
    let (mut ids, mut names, mut emails) = (Vec::new(), Vec::new(), Vec::new());
    // Texts that cannot name an account are not looked up.
    for user in users.iter().filter(|user| user.len() <= LONGEST && !user.chars().any(char::is_control)) {
        match IdKind::User.read(user) {
            Some(id) => ids.push(id),
            None => names.push(fold(user)),
        }
        emails.extend(Email::keys(user));
    }
    if ids.is_empty() && names.is_empty() {
        return Ok(Found::default());
    }
    let named = Condition::any()
        .add(Column::Id.is_in(ids))
        .add(Column::UsernameKey.is_in(names))
        .add(Column::EmailKey.is_in(emails));
    let query = accounts::in_place(Some(scope)).filter(named).filter(Column::Status.ne(AccountStatus::Deleted));
    let columns = query.select_only().columns([Column::Id, Column::UsernameKey, Column::EmailKey]);
    let rows: Vec<(Uuid, String, Option<String>)> = columns.into_tuple().fetch_all(tx.conn()).await?;
    let mut found = Found::default();
    for (id, name, email) in rows {
        found.ids.insert(id);
        found.names.insert(name, id);
        found.emails.extend(email.map(|email| (email, id)));
    }
    Ok(found)
}

/// Makes the devices of users, whose groups changed, get their policy under a higher version than any they had.
pub(in crate::identity) async fn renew_policies(tx: &Tx, scope: TenantScope, users: &[Uuid]) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let rows = tx.tenant(scope);
    let next = rows.latest_policy_version().await?.saturating_add(1);
    rows.devices().raise_policy_floor(Some(users), next).await
}

fn unknown_users(unknown: &[&str]) -> Error {
    let shown = unknown.iter().take(REPEATED).map(|user| user.chars().take(SHOWN).collect::<String>());
    let more = unknown.len().saturating_sub(REPEATED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let list = shown.collect::<Vec<_>>().join(", ");
    Error::invalid(Reason::UsersUnknown, FIELD, format!("there are no such users: {list}{rest}"))
}
