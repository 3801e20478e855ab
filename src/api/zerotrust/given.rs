//! Helpers for requests of this surface: the tenant, and fields that must be present.

use crate::base::{Cx, Error, Result, TenantRef, error::Reason, scope::access_to};

/// The tenant of a call: the named one, or else the caller's. A tenant other than the caller's is refused
/// before it is looked up; a platform caller must name one.
pub(super) fn tenant(cx: &Cx, named: Option<&str>) -> Result<TenantRef> {
    match (named.filter(|text| !text.is_empty()), &cx.caller.tenant) {
        (Some(text), _) => {
            let tenant = TenantRef::parse(text);
            access_to(&cx.caller, &tenant)?;
            Ok(tenant)
        }
        (None, Some(own)) => Ok(TenantRef::Id(own.id)),
        (None, None) => Err(missing("tenant_id")),
    }
}

/// The value of a field that the action requires.
pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| missing(field))
}

fn missing(field: &str) -> Error {
    Error { message: format!("missing: {field}").into(), ..Error::invalid(Reason::FieldRequired, field, "required") }
}
