//! Grants: the roles of identities in tenants (control-plane contract, section 3.8).

pub mod email_domains;
pub mod switch;

use serde_json::json;
use time::{
    Date, Duration, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, format_description::well_known::Iso8601,
};
use uuid::Uuid;

pub use crate::store::columns::GrantRole;

use super::{accounts::identities, users::rules::reason};
use crate::{
    base::{Cx, Error, Kind, Result, TenantId, TenantRef, error::Reason, scope::platform_only},
    store::{
        Change, ChangeKind, Pages, Resource, SessionsOf, Stamp, Store, Tx,
        tables::{self, GrantRow},
    },
    tenants,
};

/// The longest time of access for support.
const LONGEST_SUPPORT: Duration = Duration::hours(72);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub id: Uuid,
    pub identity: Uuid,
    pub tenant: TenantId,
    pub role: GrantRole,
    /// Whether logins start in this tenant.
    pub is_default: bool,
    /// None if it does not expire.
    pub expires_at: Option<OffsetDateTime>,
    /// Why it was given.
    pub reason: Option<String>,
}

impl From<GrantRow> for Grant {
    fn from(row: GrantRow) -> Self {
        Self {
            id: row.id,
            identity: row.identity_id,
            tenant: row.tenant_id.tenant(),
            role: row.role,
            is_default: row.is_default,
            expires_at: row.expires_at.map(Stamp::time),
            reason: row.reason,
        }
    }
}

/// A requested grant, as the caller gave it.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// None if the text was not an id.
    pub identity: Option<Uuid>,
    pub tenant: TenantRef,
    /// Defaults to `member`.
    pub role: Option<String>,
    /// Whether logins start in this tenant.
    pub is_default: bool,
    /// In ISO 8601.
    pub expires_at: Option<String>,
    /// Why it is given.
    pub reason: Option<String>,
}

/// Filter of a list of grants.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// Grants of one identity; `Some(None)` if the text cannot be an identity's id.
    pub identity: Option<Option<Uuid>>,
    /// Grants in one tenant.
    pub tenant: Option<TenantRef>,
}

/// All grants, oldest first, including expired ones. For platform callers.
pub async fn list(cx: &Cx, store: &Store, filter: &GrantFilter) -> Result<Pages<Grant>> {
    platform_only(&cx.access)?;
    if filter.identity == Some(None) {
        return Ok(Pages::whole(Vec::new()));
    }
    let tenant = match &filter.tenant {
        None => None,
        Some(tenant) => match tenants::find(store, tenant).await? {
            Some(tenant) => Some(tenant.id),
            None => return Ok(Pages::whole(Vec::new())),
        },
    };
    Ok(tables::grants(cx, store, filter.identity.flatten(), tenant).await?.map(Grant::from))
}

/// Creates a grant. Checks, in this order: the role, the text of the reason, the identity, the tenant, the domain of the identity's address,
/// the expiry, that access for support has a limited time and a reason, and that the identity has no grant in the tenant yet.
pub async fn create(cx: &Cx, store: &Store, mut new: NewGrant) -> Result<Grant> {
    let role = new.role.as_deref().map_or(Ok(GrantRole::Member), str::parse)?;
    new.reason = reason(new.reason)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    store.write(cx, (new, role), insert).await
}

async fn insert(tx: &Tx, (new, role): &(NewGrant, GrantRole)) -> Result<Grant> {
    platform_only(&tx.cx().access)?;
    let identity = new.identity.ok_or_else(identities::not_found)?;
    // Locked, so that two concurrent calls cannot both leave a default grant.
    let identity = identities::by_id_locked(tx, identity).await?.ok_or_else(identities::not_found)?;
    let (_, scope) = tenants::resolve_any_locked(tx, &new.tenant).await?;
    email_domains::check(tx, scope, &identity).await?;
    let expires_at = new.expires_at.as_deref().map(moment).transpose()?;
    if *role == GrantRole::Support {
        check_support(expires_at, tx.time().await?, new.reason.as_deref())?;
    }
    if tx.tenant(scope).grants().has(identity.id).await? {
        return Err(Error::exists(Reason::GrantExists, "the user already has a grant in that tenant"));
    }
    if new.is_default {
        tables::clear_default_grants(tx.conn(), &tx.cx().access, identity.id).await?;
    }
    let row = GrantRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        identity_id: identity.id,
        role: *role,
        is_default: new.is_default,
        expires_at: expires_at.map(Stamp::from),
        created_at: tx.now().into(),
        reason: new.reason.clone(),
        chosen_at: None,
    };
    let grant = Grant::from(row.clone());
    tx.tenant(scope).grants().insert(row).await?;
    record(tx, ChangeKind::Created, &grant);
    Ok(grant)
}

/// Access for support is for a limited time and with a reason (control-plane contract, section 9).
fn check_support(end: Option<OffsetDateTime>, now: OffsetDateTime, reason: Option<&str>) -> Result<()> {
    let Some(end) = end else { return Err(bad_end("A support grant needs expires_at.")) };
    if end - now > LONGEST_SUPPORT {
        let message = "A support grant must expire within 72 hours.";
        return Err(Error::new(Kind::InvalidArgument, Reason::SupportGrantTooLong, message));
    }
    if reason.is_none() {
        let message = "A support grant needs a reason.";
        return Err(Error::new(Kind::InvalidArgument, Reason::GrantReasonMissing, message));
    }
    Ok(())
}

/// Deletes a grant and ends the sessions that may depend on it: all sessions of the identity's platform accounts.
pub async fn delete(cx: &Cx, store: &Store, id: Option<Uuid>) -> Result<()> {
    store.write(cx, id.ok_or_else(not_found)?, remove).await
}

async fn remove(tx: &Tx, id: &Uuid) -> Result<()> {
    let found = tables::grant_by_id(tx.conn(), &tx.cx().access, *id).await?;
    let grant = Grant::from(found.ok_or_else(not_found)?);
    let resolved = tenants::resolve_any_locked(tx, &TenantRef::Id(grant.tenant)).await;
    // If the tenant was deleted in the meantime, so was the grant.
    let (_, scope) = resolved.map_err(|error| match error.reason {
        Reason::TenantNotFound => not_found(),
        _ => error,
    })?;
    if !tx.tenant(scope).grants().delete(*id).await? {
        return Err(not_found());
    }
    record(tx, ChangeKind::Deleted, &grant);
    tx.end_sessions(SessionsOf::Identity(grant.identity)).await?;
    Ok(())
}

fn record(tx: &Tx, kind: ChangeKind, grant: &Grant) {
    let end = grant.expires_at.map(OffsetDateTime::unix_timestamp);
    let details = json!({
        "user": grant.identity,
        "role": grant.role.as_str(),
        "is_default": grant.is_default,
        "expires_at": end,
        "reason": grant.reason,
    });
    let change = Change::new(Resource::Grant, kind, grant.id.to_string()).within(grant.tenant);
    tx.changed(change, grant.id.to_string(), details);
}

/// Parses an ISO 8601 time: with an offset, or in UTC; a date without a time is midnight.
fn moment(text: &str) -> Result<OffsetDateTime> {
    // Many programs print a space instead of the `T`.
    let text = text.trim().replacen(' ', "T", 1);
    let at = OffsetDateTime::parse(&text, &Iso8601::PARSING)
        .or_else(|_| PrimitiveDateTime::parse(&text, &Iso8601::PARSING).map(PrimitiveDateTime::assume_utc))
        .or_else(|_| Date::parse(&text, &Iso8601::PARSING).map(|date| date.with_time(Time::MIDNIGHT).assume_utc()));
    // The library accepts offsets of up to 25 hours.
    let at = at.ok().filter(|at| at.offset().whole_hours().abs() < 24);
    let at = at.and_then(|at| at.checked_to_offset(UtcOffset::UTC));
    // A year that does not have four digits cannot be returned in a response.
    at.filter(|at| (1..=9999).contains(&at.year())).ok_or_else(|| bad_end("expires_at must be an ISO-8601 datetime."))
}

fn bad_end(message: &'static str) -> Error {
    Error::new(Kind::InvalidArgument, Reason::GrantEndInvalid, message)
}

fn not_found() -> Error {
    Error::not_found(Reason::GrantNotFound, "Grant not found.")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn access_for_support_has_a_limited_time_and_a_reason() {
        let now = datetime!(2026-07-01 12:00 UTC);
        let refused = |end: Option<OffsetDateTime>, reason| check_support(end, now, reason).unwrap_err().reason;
        assert_eq!(refused(None, Some("ticket 7")), Reason::GrantEndInvalid);
        let longest = now + Duration::hours(72);
        assert_eq!(refused(Some(longest + Duration::SECOND), Some("ticket 7")), Reason::SupportGrantTooLong);
        assert_eq!(refused(Some(longest), None), Reason::GrantReasonMissing);
        assert!(check_support(Some(longest), now, Some("ticket 7")).is_ok());
        assert!(check_support(Some(datetime!(2020-01-01 0:00 UTC)), now, Some("ticket 7")).is_ok());
    }

    #[test]
    fn a_time_is_converted_to_utc() {
        let noon = datetime!(2026-07-01 12:00 UTC);
        for text in [
            "2026-07-01T12:00:00Z",
            "2026-07-01T14:00:00+02:00",
            "2026-07-01T06:30:00-05:30",
            "2026-07-01T12:00:00",
            "2026-07-01T12:00",
            "2026-07-01T12:00:00.000000",
            " 20260701T120000Z ",
            "2026-07-01 12:00:00+00:00",
        ] {
            assert_eq!(moment(text).unwrap(), noon, "{text}");
            assert_eq!(moment(text).unwrap().offset(), UtcOffset::UTC);
        }
        assert_eq!(moment("2026-07-01").unwrap(), datetime!(2026-07-01 0:00 UTC));
        assert_eq!(moment("2026-07-01T12:00:00.25+00:00").unwrap(), noon + time::Duration::milliseconds(250));
    }

    #[test]
    fn invalid_times_are_refused() {
        for text in [
            "",
            "tomorrow",
            "1767225600",
            "2026-13-01T00:00:00Z",
            "2026-02-30",
            "2026-07-01T25:00:00Z",
            "2026-07-01T12:00:00+99:00",
            "2026-07-01T12:00:00+24:00",
            "2026-07-01T12:00:00Z; DROP",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "+12026-01-01T00:00:00Z",
        ] {
            assert_eq!(moment(text).unwrap_err().reason, Reason::GrantEndInvalid, "{text}");
        }
    }
}
