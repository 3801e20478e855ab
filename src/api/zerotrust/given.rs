//! Helpers for requests of this surface: fields by action, and the tenant.

use crate::base::{
    Cx, Error, Kind, Result, TenantRef,
    error::{Reason, Violation},
    scope::access_to,
};

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

/// Refuses fields that an action does not take, because they would have no effect. `given` says for each field
/// whether it is present.
pub(super) fn only(action: &str, given: &[(&str, bool)], takes: &[&str]) -> Result<()> {
    let stray = given.iter().filter(|(field, there)| *there && !takes.contains(field));
    let description = format!("{action} does not take it");
    let violation =
        |(field, _): &(&str, bool)| Violation { field: (*field).to_owned(), description: description.clone() };
    let violations: Vec<_> = stray.map(violation).collect();
    if violations.is_empty() {
        return Ok(());
    }
    let fields = violations.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!("{action} does not take {fields}");
    Err(Error { violations, ..Error::new(Kind::InvalidArgument, Reason::InvalidArgument, message) })
}

fn missing(field: &str) -> Error {
    Error { message: format!("missing: {field}").into(), ..Error::invalid(Reason::FieldRequired, field, "required") }
}
