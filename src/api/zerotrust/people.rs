//! The user that a request is about, and the accounts that its caller may access.

use super::given;
use crate::{
    auth::authz::roles,
    base::{Cx, IdKind, Result},
    identity::{Reach, UserRef},
};

/// All accounts of the tenant for callers that have the permission, only their own for others.
pub(super) fn reach(cx: &Cx, permission: &str) -> Reach {
    if roles::holds(cx.caller.roles(), permission) { Reach::All } else { Reach::Own }
}

/// The user that a request names.
pub(super) fn named(cx: &Cx, tenant: Option<&str>, user: String, version: Option<i64>) -> Result<UserRef> {
    Ok(UserRef { tenant: given::tenant(cx, tenant)?, user, version })
}

/// The user that a request names, or else the caller.
pub(super) fn own_or_named(cx: &Cx, tenant: Option<&str>, user: Option<String>) -> Result<UserRef> {
    let own = || cx.caller.account.map(|account| IdKind::User.show(account));
    let user = given::required("user_id", user.or_else(own))?;
    named(cx, tenant, user, None)
}
