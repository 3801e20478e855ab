//! The tenants of the control-plane surface (control-plane contract, section 3.2): it has stricter rules for names than
//! the registry, shows tenants in every status, and deletes them immediately.

use serde_json::{Map, Value, json};

pub use super::deletion::{Removal, Removed, delete};
use super::placement::{self, Placement};
use crate::{
    base::{
        Cx, Error, Kind, Result, TenantName, TenantRef,
        error::{Reason, Violation},
        text,
    },
    store::{ChangeKind, Pages, Store, Tx},
    tenants::{self, NewTenant, Order, Status, Tenant},
};

const MAX_DISPLAY_NAME: usize = 255;

/// A tenant as this surface shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantDetails {
    pub tenant: Tenant,
    pub placement: Option<Placement>,
    /// The last migration of its database.
    pub revision: Option<String>,
    /// Its labels and plan, if it has any.
    pub settings: Map<String, Value>,
    /// The limits that override those of its plan.
    pub limits: Map<String, Value>,
}

/// The tenants with a status, oldest first; no text means every status, an unknown one no tenant.
pub async fn list(cx: &Cx, store: &Store, word: Option<&str>) -> Result<Pages<Tenant>> {
    let statuses: Vec<Status> =
        Status::ALL.into_iter().filter(|status| word.is_none_or(|word| status.as_str() == word)).collect();
    tenants::list(cx, store, Order::OldestFirst, &statuses).await
}

/// A tenant, also in its grace period.
pub async fn get(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<TenantDetails> {
    let (tenant, scope) = tenants::resolve_any(cx, store, tenant).await?;
    let placement = placement::find(store, scope).await?;
    let (mut settings, mut limits) = (Map::new(), Map::new());
    if !tenant.labels.is_empty() {
        settings.insert("labels".to_owned(), json!(tenant.labels));
    }
    if let Some(subscription) = store.tenant(scope).zerotrust().get().await? {
        settings.insert("plan".to_owned(), subscription.plan.into());
        limits = subscription.overrides.0;
    }
    let revision = store.tenant(scope).database().get().await?.and_then(|database| database.revision);
    Ok(TenantDetails { tenant, placement, revision, settings, limits })
}

/// Creates an active tenant. Checks, in this order: name and slug, that no tenant has the slug (ignoring case), and the
/// limit.
pub async fn create(cx: &Cx, store: &Store, max: Option<u64>, name: &str, slug: &str) -> Result<Tenant> {
    store.write(cx, (checked(name, slug)?, max), insert).await
}

async fn insert(tx: &Tx, (new, max): &(NewTenant, Option<u64>)) -> Result<Tenant> {
    let (tenant, _) = tenants::insert(tx, new, *max).await?;
    tenants::record(tx, ChangeKind::Created, &tenant, json!({"display_name": tenant.display_name}));
    Ok(tenant)
}

/// A tenant with this name and slug, or all rules that they break.
fn checked(name: &str, slug: &str) -> Result<NewTenant> {
    let (named, slug) = (display_name(name), slug.trim());
    let slugged = TenantName::plain(slug).ok().filter(|_| is_slug(slug));
    match (named, slugged) {
        (Ok(display_name), Some(handle)) => Ok(NewTenant { display_name, ..NewTenant::named(handle) }),
        (named, slugged) => Err(broken(named.err(), slugged.is_some())),
    }
}

fn broken(name: Option<String>, slugged: bool) -> Error {
    let violation = |field: &str, description: String| Violation { field: field.to_owned(), description };
    let mut violations = Vec::new();
    violations.extend(name.map(|rule| violation("name", rule)));
    if !slugged {
        let rule = "a slug must have 1 to 100 lower-case letters, digits and hyphens, start and end with a letter or digit, and not have the form of an id";
        violations.push(violation("slug", rule.to_owned()));
    }
    let reason = if slugged { Reason::DisplayNameInvalid } else { Reason::TenantNameInvalid };
    let message = violations.iter().map(|violation| violation.description.as_str()).collect::<Vec<_>>().join("; ");
    Error { violations, ..Error::new(Kind::InvalidArgument, reason, message) }
}

/// The display name in its normal form, or the rule that it breaks.
fn display_name(name: &str) -> Result<String, String> {
    let rule = "a name must have 1 to 255 characters and no control characters";
    text::name_of("name", name, 1..=MAX_DISPLAY_NAME, rule).map_err(|error| error.message.into_owned())
}

/// `[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?`. The registry refuses slugs that can be parsed as ids.
fn is_slug(slug: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=100).contains(&slug.len()) && slug.bytes().all(inner) && !slug.starts_with('-') && !slug.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_slug_are_trimmed() {
        let new = checked(" Acme Inc. ", " acme ").unwrap();
        assert_eq!((new.display_name.as_str(), new.name.as_str(), new.status), ("Acme Inc.", "acme", Status::Active));
        for slug in ["a", "0", "a-b", "a--b", "0day", &"x".repeat(100)] {
            assert!(checked("A", slug).is_ok(), "{slug}");
        }
    }

    #[test]
    fn malformed_slugs_are_refused() {
        for slug in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a b",
            "a.b",
            "ä",
            "!!!",
            &"x".repeat(101),
            "t-0191f3a47c107b2e9d315a6b7c8d9e0f",
            "0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f",
        ] {
            assert_eq!(checked("A", slug).unwrap_err().reason, Reason::TenantNameInvalid, "{slug}");
        }
    }

    #[test]
    fn every_broken_rule_is_reported() {
        for name in ["", "  ", "a\0b", "a\nb", "\u{200b}", "Acme\u{202e}emca", &"x".repeat(256)] {
            let error = checked(name, "acme").unwrap_err();
            assert_eq!((error.reason, error.violations.len()), (Reason::DisplayNameInvalid, 1), "{name}");
            assert_eq!(checked(name, "A").unwrap_err().violations.len(), 2);
        }
    }
}
