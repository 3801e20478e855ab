//! Which user a request is about.

use super::given;
use crate::{
    base::{Cx, IdKind, Result},
    identity::UserRef,
};

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
