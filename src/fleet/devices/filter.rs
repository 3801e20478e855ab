//! Filters of devices.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{Cx, Error, IdKind, Reach, Result, TenantScope, error::Reason},
    identity::accounts,
    store::{
        Store,
        columns::{DeviceStatus, Platform},
        like,
        tables::DeviceFilter,
    },
};

/// What is listed or changed; the default is all devices.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The user, by id, name or email address.
    pub user: Option<String>,
    pub status: Option<String>,
    pub platform: Option<String>,
    pub seen_before: Option<OffsetDateTime>,
    pub seen_after: Option<OffsetDateTime>,
    /// The public id of a group.
    pub group: Option<String>,
    /// A part of the name, compared case-insensitively.
    pub text: String,
}

/// A valid [`Filter`].
#[derive(Clone, Debug)]
pub(super) struct Checked {
    user: Option<String>,
    rest: DeviceFilter,
}

/// Validates a filter without the database.
pub(super) fn check(filter: &Filter) -> Result<Checked> {
    let invalid = |field: &str, message: &'static str| Error::invalid(Reason::InvalidArgument, field, message);
    let status = |word: &String| {
        let found = DeviceStatus::ALL.iter().copied().find(|status| status.as_str() == word);
        found.ok_or_else(|| invalid("status", "the status must be pending_approval, active, suspended or revoked"))
    };
    let platform = |word: &String| {
        let found = Platform::ALL.iter().copied().find(|platform| platform.as_str() == word);
        let message = "the platform must be windows, macos, linux, ios, android or headless";
        found.ok_or_else(|| invalid("platform", message))
    };
    let group = |id: &String| IdKind::Group.read(id).ok_or_else(|| invalid("group_id", "not a group id"));
    let rest = DeviceFilter {
        device: None,
        account: None,
        status: filter.status.as_ref().map(status).transpose()?,
        platform: filter.platform.as_ref().map(platform).transpose()?,
        group: filter.group.as_ref().map(group).transpose()?,
        text: filter.text.clone(),
        seen_before: filter.seen_before.map(Into::into),
        seen_after: filter.seen_after.map(Into::into),
    };
    Ok(Checked { user: filter.user.clone(), rest })
}

/// The rows of a filter; none if no device can be among them.
pub(super) async fn resolve(
    cx: &Cx,
    store: &Store,
    scope: TenantScope,
    filter: &Checked,
    reach: Reach,
) -> Result<Option<DeviceFilter>> {
    if !like::may_occur(&filter.rest.text) {
        return Ok(None);
    }
    let named = match &filter.user {
        None => None,
        Some(user) => match accounts::find(store.read(), Some(scope), user).await? {
            Some(account) => Some(account.id),
            None => return Ok(None),
        },
    };
    let own = cx.caller.account.filter(|_| reach == Reach::Own);
    let account: Option<Option<Uuid>> = match (reach, named) {
        (Reach::All, None) => None,
        (Reach::All, named) => Some(named),
        (Reach::Own, None) => Some(own),
        (Reach::Own, named) if named == own => Some(own),
        (Reach::Own, _) => return Ok(None),
    };
    Ok(Some(DeviceFilter { account, ..filter.rest.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_of_a_filter_has_its_rule() {
        let field = |filter: Filter| check(&filter).unwrap_err().violations[0].field.clone();
        let word = || Some("lost".to_owned());
        assert_eq!(field(Filter { status: word(), ..Filter::default() }), "status");
        assert_eq!(field(Filter { platform: word(), ..Filter::default() }), "platform");
        assert_eq!(field(Filter { group: word(), ..Filter::default() }), "group_id");
        let status = Some("pending_approval".to_owned());
        assert_eq!(
            check(&Filter { status, ..Filter::default() }).unwrap().rest.status,
            Some(DeviceStatus::PendingApproval)
        );
    }
}
