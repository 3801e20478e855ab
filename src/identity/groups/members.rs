//! Users as callers name them, many at once: by id, by name or by email address.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, Condition, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::identity::{AccountStatus, Email, accounts};
use crate::{
    base::{Error, IdKind, Result, TenantScope, error::Reason, names::fold},
    store::{Tx, entities::accounts::Column},
};

/// Most users of one call (zero-trust contract, section 4.3).
pub(in crate::identity) const MOST: usize = 500;
/// Most unknown users that are repeated to the caller.
const REPEATED: usize = 10;
/// Most characters of each.
const SHOWN: usize = 64;
/// Longest text that can name a user, in bytes.
const LONGEST: usize = 254;
/// The field that lists them.
const FIELD: &str = "user_ids";

/// Checks a list of users that has to name some.
pub(in crate::identity) fn check_given(users: &[String]) -> Result<()> {
    match users.len() {
        0 => Err(Error::invalid(Reason::InvalidArgument, FIELD, "name at least one user")),
        1..=MOST => Ok(()),
        _ => Err(too_many()),
    }
}

/// There are too many users.
pub(in crate::identity) fn too_many() -> Error {
    Error::invalid(Reason::InvalidArgument, FIELD, format!("at most {MOST} users at once"))
}

/// The accounts of users, each once, in the order in which they are named. Fails and tells which of them the tenant does
/// not have; those of other tenants are as unknown as those that nobody has.
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

/// Accounts by each of the ways in which they may be named.
#[derive(Default)]
struct Found {
    ids: BTreeSet<Uuid>,
    names: HashMap<String, Uuid>,
    emails: HashMap<String, Uuid>,
}

impl Found {
    /// As [`accounts::find`]: what reads as an id is one, and a name comes before an address.
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
    // What no account can be called is not asked for.
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
    let query =
        accounts::in_place(Some(scope)).filter(named).filter(Column::Status.ne(AccountStatus::Deleted.as_str()));
    let columns = query.select_only().columns([Column::Id, Column::UsernameKey, Column::EmailKey]);
    let rows: Vec<(Uuid, String, Option<String>)> = columns.into_tuple().all(tx.conn()).await?;
    let mut found = Found::default();
    for (id, name, email) in rows {
        found.ids.insert(id);
        found.names.insert(name, id);
        found.emails.extend(email.map(|email| (email, id)));
    }
    Ok(found)
}

fn unknown_users(unknown: &[&str]) -> Error {
    let shown = unknown.iter().take(REPEATED).map(|user| user.chars().take(SHOWN).collect::<String>());
    let more = unknown.len().saturating_sub(REPEATED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let list = shown.collect::<Vec<_>>().join(", ");
    Error::invalid(Reason::UsersUnknown, FIELD, format!("there are no such users: {list}{rest}"))
}
