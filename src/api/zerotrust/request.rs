//! Conversion of requests of this surface: the users that they name.

pub(super) use crate::api::times::time;
use crate::{
    base::{Cx, Error, IdKind, Result, TenantRef},
    identity::UserRef,
};

/// A user of the call's tenant, in the version that the caller read.
pub(super) fn user_ref(cx: &Cx, user: String, version: Option<i64>) -> Result<UserRef> {
    Ok(UserRef { tenant: cx.tenant()?.clone(), user, version })
}

/// The user that a request names, or else the caller's own account. Callers without an account must name one.
pub(super) fn user_or_caller(cx: &Cx, user: Option<String>) -> Result<UserRef> {
    let own = || cx.caller.account.map(|account| IdKind::User.show(account));
    let user = user.or_else(own).ok_or_else(|| Error::missing_field("user_id"))?;
    user_ref(cx, user, None)
}

/// The tenant of the call; none for a platform caller that names none, which means the installation.
pub(super) fn tenant_or_installation(cx: &Cx) -> Result<Option<&TenantRef>> {
    match cx.tenant() {
        Ok(tenant) => Ok(Some(tenant)),
        Err(_) if cx.caller.is_platform() => Ok(None),
        Err(error) => Err(error),
    }
}
