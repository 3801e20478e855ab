//! Validation of groups and their changes.

use super::{GroupChange, NewGroup, members};
use crate::identity::accounts::display_name;
use crate::{
    base::{Error, Kind, Result, error::Reason, text},
    store::{columns::Source, tables::GroupRow},
};

/// Maximum length of a description, in characters.
const MAX_DESCRIPTION: usize = 500;
/// Maximum length of a policy id.
const MAX_POLICY: usize = 64;

/// Edits that not every group permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::identity) enum Edit {
    Name,
    Members,
    Delete,
}

/// Validates a new group without the database.
pub(in crate::identity) fn check_new(new: NewGroup) -> Result<NewGroup> {
    if new.users.len() > members::MOST {
        return Err(members::too_many());
    }
    Ok(NewGroup {
        name: display_name::read(&new.name)?,
        description: description(new.description)?,
        policy_id: new.policy_id.filter(|id| !id.is_empty()).map(policy_id).transpose()?,
        users: new.users,
    })
}

/// Validates a change without the database.
pub(in crate::identity) fn check_change(change: GroupChange) -> Result<GroupChange> {
    Ok(GroupChange {
        name: change.name.as_deref().map(display_name::read).transpose()?,
        description: change.description.map(description).transpose()?,
        policy_id: change.policy_id.map(|id| if id.is_empty() { Ok(id) } else { policy_id(id) }).transpose()?,
    })
}

/// Applies a change to a group. Fails for attributes that its directory manages.
pub(in crate::identity) fn changed(mut row: GroupRow, change: &GroupChange) -> Result<GroupRow> {
    if let Some(name) = change.name.as_ref().filter(|name| **name != row.name) {
        refuse(&row, Edit::Name)?;
        row.name.clone_from(name);
    }
    if let Some(description) = &change.description {
        row.description.clone_from(description);
    }
    if let Some(id) = &change.policy_id {
        row.policy_id = Some(id.clone()).filter(|id| !id.is_empty());
    }
    Ok(row)
}

/// Refuses an edit that the group does not permit.
pub(in crate::identity) fn refuse(row: &GroupRow, edit: Edit) -> Result<()> {
    if row.source != Source::Local {
        let what = match edit {
            Edit::Name => "change its name there",
            Edit::Members => "change its members there",
            Edit::Delete => "delete it there, or set force to delete it here",
        };
        return Err(Error::precondition(Reason::GroupSynced, format!("the group is managed by a directory: {what}")));
    }
    if edit == Edit::Delete && row.policy_id.is_some() {
        return Err(in_use());
    }
    Ok(())
}

/// The error for the deletion of a group that a policy is for.
pub(in crate::identity) fn in_use() -> Error {
    Error::precondition(Reason::GroupInUse, "the group is used by a policy; set force to delete it anyway")
}

pub(in crate::identity) fn stale() -> Error {
    Error::new(Kind::Aborted, Reason::VersionStale, "the group was changed in the meantime; read it again")
}

fn description(text: String) -> Result<String> {
    text::prose("description", &text, MAX_DESCRIPTION, "a description must have at most 500 characters")
}

fn policy_id(text: String) -> Result<String> {
    let good = text.len() <= MAX_POLICY && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let message = format!("a policy id must have at most {MAX_POLICY} letters, digits and `. _ -`");
    if good { Ok(text) } else { Err(Error::invalid(Reason::InvalidArgument, "policy_id", message)) }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        base::{Access, TenantId, TenantScope},
        store::Stamp,
    };

    fn row(source: Source, policy: Option<&str>) -> GroupRow {
        let scope = TenantScope::grant(&Access::Platform, TenantId::from_uuid(Uuid::nil()), "acme").unwrap();
        GroupRow {
            tenant_id: scope.into(),
            id: Uuid::nil(),
            name: "Ops".to_owned(),
            name_key: String::new(),
            description: String::new(),
            source,
            external_id: None,
            policy_id: policy.map(str::to_owned),
            version: 1,
            created_at: Stamp::from_micros(0),
            updated_at: Stamp::from_micros(0),
        }
    }

    #[test]
    fn an_empty_policy_id_removes_the_policy() {
        let change = |id: &str| check_change(GroupChange { policy_id: Some(id.to_owned()), ..GroupChange::default() });
        assert_eq!(changed(row(Source::Local, Some("pol_1")), &change("").unwrap()).unwrap().policy_id, None);
        assert_eq!(
            changed(row(Source::Local, None), &change("pol_1").unwrap()).unwrap().policy_id.as_deref(),
            Some("pol_1")
        );
        assert!(change("pol 1").is_err() && change("a\0").is_err());
    }

    #[test]
    fn a_directory_manages_name_and_members() {
        let synced = row(Source::Directory, None);
        let renamed = |name: &str| GroupChange { name: Some(name.to_owned()), ..GroupChange::default() };
        assert_eq!(changed(synced.clone(), &renamed("Other")).unwrap_err().reason, Reason::GroupSynced);
        assert!(changed(synced.clone(), &renamed("Ops")).is_ok(), "the same name must not count as a change");
        assert!(refuse(&synced, Edit::Members).is_err() && refuse(&synced, Edit::Delete).is_err());
        assert!(refuse(&row(Source::Local, None), Edit::Delete).is_ok());
        assert_eq!(refuse(&row(Source::Local, Some("p")), Edit::Delete).unwrap_err().reason, Reason::GroupInUse);
    }
}
