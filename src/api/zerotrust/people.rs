//! Which user a request is about, and whose accounts its caller may touch.

use super::given;
use crate::{
    auth::authz::roles,
    base::{Cx, IdKind, Result},
    identity::{Reach, UserRef},
};

/// Every account of the tenant for callers who hold a permission, for all others their own.
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
