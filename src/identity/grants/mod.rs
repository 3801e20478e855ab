//! Grants: the roles of identities in tenants (control-plane contract, section 3.8).

pub mod email_domains;
pub mod switch;

use std::str::FromStr;

use serde_json::json;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, format_description::well_known::Iso8601};
use uuid::Uuid;

use super::accounts::identities;
use crate::{
    base::{Cx, Error, Kind, Result, Role, TenantId, TenantRef, error::Reason, scope::platform_only},
    store::{
        Change, ChangeKind, Pages, Resource, SessionsOf, Store, Tx,
        scopes::{self, GrantRow},
    },
    tenants,
};

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantRole {
    /// Uses the services of the tenant.
    Member,
    /// Administers the tenant.
    Admin,
    /// Reads the tenant, for a limited time.
    Support,
}

impl GrantRole {
    pub const ALL: [Self; 3] = [Self::Member, Self::Admin, Self::Support];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Support => "support",
        }
    }

    /// The role that the grant gives in the tenant.
    pub fn role(self) -> Role {
        match self {
            Self::Member => Role::User,
            Self::Admin => Role::Admin,
            Self::Support => Role::ReadOnly,
        }
    }
}

impl FromStr for GrantRole {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| {
            Error::invalid(Reason::GrantRoleUnknown, "role", "the role must be 'member', 'admin' or 'support'")
        })
    }
}

impl TryFrom<GrantRow> for Grant {
    type Error = Error;

    fn try_from(row: GrantRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            identity: row.identity,
            tenant: row.tenant,
            role: row.role.parse().map_err(|_| Error::internal(format!("a grant has the role {:?}", row.role)))?,
            is_default: row.is_default,
            expires_at: row.expires_at,
        })
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
    scopes::grants(cx, store, filter.identity.flatten(), tenant).await?.try_map(Grant::try_from)
}

/// Creates a grant. Checks, in this order: the role, the identity, the tenant, the domain of the identity's
/// address, the expiry, and that the identity has no grant in the tenant yet.
pub async fn create(cx: &Cx, store: &Store, new: NewGrant) -> Result<Grant> {
    let role = new.role.as_deref().map_or(Ok(GrantRole::Member), str::parse)?;
    store.write(cx, (new, role), insert).await
}

async fn insert(tx: &Tx, (new, role): &(NewGrant, GrantRole)) -> Result<Grant> {
    platform_only(&tx.cx().access)?;
    let identity = new.identity.ok_or_else(identities::not_found)?;
    // Locked, so that two concurrent calls cannot both leave a default grant.
    let identity = identities::by_id_locked(tx, identity).await?.ok_or_else(identities::not_found)?;
    let (tenant, scope) = tenants::resolve_any_locked(tx, &new.tenant).await?;
    email_domains::check(tx, scope, &identity).await?;
    let expires_at = new.expires_at.as_deref().map(moment).transpose()?;
    if *role == GrantRole::Support && expires_at.is_none() {
        return Err(bad_end("A support grant needs expires_at."));
    }
    if tx.tenant(scope).has_grant(identity.id).await? {
        return Err(Error::exists(Reason::GrantExists, "the user already has a grant in that tenant"));
    }
    if new.is_default {
        scopes::clear_defaults(tx, identity.id).await?;
    }
    let row = GrantRow {
        id: tx.new_id(),
        tenant: tenant.id,
        identity: identity.id,
        role: role.as_str().to_owned(),
        is_default: new.is_default,
        expires_at,
    };
    tx.tenant(scope).insert_grant(&row, tx.now()).await?;
    record(tx, ChangeKind::Created, &row);
    row.try_into()
}

/// Deletes a grant and ends the sessions that may depend on it: all sessions of the identity's platform accounts.
pub async fn delete(cx: &Cx, store: &Store, id: Option<Uuid>) -> Result<()> {
    store.write(cx, id.ok_or_else(not_found)?, remove).await
}

async fn remove(tx: &Tx, id: &Uuid) -> Result<()> {
    let row = scopes::grant_by_id(tx.conn(), &tx.cx().access, *id).await?.ok_or_else(not_found)?;
    let resolved = tenants::resolve_any_locked(tx, &TenantRef::Id(row.tenant)).await;
    // If the tenant was deleted in the meantime, so was the grant.
    let (_, scope) = resolved.map_err(|error| match error.reason {
        Reason::TenantNotFound => not_found(),
        _ => error,
    })?;
    if !tx.tenant(scope).delete_grant(*id).await? {
        return Err(not_found());
    }
    record(tx, ChangeKind::Deleted, &row);
    tx.end_sessions(SessionsOf::Identity(row.identity)).await?;
    Ok(())
}

fn record(tx: &Tx, kind: ChangeKind, row: &GrantRow) {
    let end = row.expires_at.map(OffsetDateTime::unix_timestamp);
    let details = json!({
        "user": row.identity,
        "role": row.role,
        "is_default": row.is_default,
        "expires_at": end,
    });
    let change = Change::new(Resource::Grant, kind, row.id.to_string()).within(row.tenant);
    tx.changed(change, row.id.to_string(), details);
}

/// Parses an ISO 8601 time: with an offset, or in UTC; a date without a time is midnight.
fn moment(text: &str) -> Result<OffsetDateTime> {
    // Many programs print a space instead of the `T`.
    let text = text.trim().replacen(' ', "T", 1);
    let at = OffsetDateTime::parse(&text, &Iso8601::PARSING)
        .or_else(|_| PrimitiveDateTime::parse(&text, &Iso8601::PARSING).map(PrimitiveDateTime::assume_utc))
        .or_else(|_| Date::parse(&text, &Iso8601::PARSING).map(|date| date.with_time(Time::MIDNIGHT).assume_utc()));
    let at = at.ok().and_then(|at| at.checked_to_offset(UtcOffset::UTC));
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
            "2026-07-01T12:00:00Z; DROP",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "+12026-01-01T00:00:00Z",
        ] {
            assert_eq!(moment(text).unwrap_err().reason, Reason::GrantEndInvalid, "{text}");
        }
    }

    #[test]
    fn roles_have_names() {
        for role in GrantRole::ALL {
            assert_eq!(role.as_str().parse::<GrantRole>().unwrap(), role);
        }
        assert!("owner".parse::<GrantRole>().is_err() && "Admin".parse::<GrantRole>().is_err());
    }
}
