//! The allowed email domains of a tenant: only identities with an address in one of them can be granted a role.
//! Without any domain, all addresses are allowed (control-plane contract, section 3.6).

use serde_json::Value;
use uuid::Uuid;

use crate::identity::{Email, Identity};
use crate::{
    base::{Cx, Error, Kind, Result, TenantId, TenantRef, TenantScope, error::Reason},
    store::{Change, ChangeKind, Resource, Store, Tx, tables::EmailDomainRow},
    tenants,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailDomain {
    pub id: Uuid,
    pub tenant: TenantId,
    /// In lower case and punycode.
    pub domain: String,
}

impl From<EmailDomainRow> for EmailDomain {
    fn from(row: EmailDomainRow) -> Self {
        Self { id: row.id, tenant: row.tenant_id.tenant(), domain: row.domain }
    }
}

/// The domains of a tenant, by name; an empty list for a tenant that does not exist.
pub async fn list(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<Vec<EmailDomain>> {
    let scope = match tenants::resolve_any(cx, store, tenant).await {
        Ok((_, scope)) => scope,
        Err(error) if error.reason == Reason::TenantNotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let rows = store.tenant(scope).email_domains().all().await?;
    Ok(rows.into_iter().map(EmailDomain::from).collect())
}

/// Adds a domain. Checks, in this order: the domain, the tenant, and that the tenant does not have it yet.
pub async fn add(cx: &Cx, store: &Store, tenant: &TenantRef, text: &str) -> Result<EmailDomain> {
    store.write(cx, (tenant.clone(), read(text)?), insert).await
}

async fn insert(tx: &Tx, (tenant, domain): &(TenantRef, String)) -> Result<EmailDomain> {
    let (_, scope) = tenants::resolve_any_locked(tx, tenant).await?;
    let (id, created_at) = (tx.new_id(), tx.now().into());
    let row = EmailDomainRow { tenant_id: scope.into(), id, domain: domain.clone(), created_at };
    let made = EmailDomain::from(row.clone());
    tx.tenant(scope).email_domains().insert(row).await?;
    record(tx, ChangeKind::Created, &made);
    Ok(made)
}

/// Removes a domain. Existing grants are kept.
pub async fn remove(cx: &Cx, store: &Store, tenant: &TenantRef, id: Option<Uuid>) -> Result<()> {
    let removed = store.write(cx, (tenant.clone(), id.ok_or_else(not_found)?), remove_in).await;
    // A tenant that does not exist does not have the domain either.
    removed.map_err(|error| if error.reason == Reason::TenantNotFound { not_found() } else { error })
}

async fn remove_in(tx: &Tx, (tenant, id): &(TenantRef, Uuid)) -> Result<()> {
    let (_, scope) = tenants::resolve_any_locked(tx, tenant).await?;
    let rows = tx.tenant(scope).email_domains();
    let row = rows.get(*id).await?.ok_or_else(not_found)?;
    if !rows.delete(*id).await? {
        return Err(not_found());
    }
    record(tx, ChangeKind::Deleted, &row.into());
    Ok(())
}

fn record(tx: &Tx, kind: ChangeKind, domain: &EmailDomain) {
    let change = Change::new(Resource::EmailDomain, kind, domain.id.to_string()).within(domain.tenant);
    tx.changed(change, domain.domain.as_str(), Value::Null);
}

/// Fails if the tenant restricts domains and the identity's is not allowed.
pub(in crate::identity) async fn check(tx: &Tx, scope: TenantScope, identity: &Identity) -> Result<()> {
    let allowed = tx.tenant(scope).email_domains().all().await?;
    if allowed.is_empty() || allowed.iter().any(|row| row.domain == identity.domain()) {
        return Ok(());
    }
    let message = "This user's email domain is not allowed for this tenant.";
    Err(Error::denied(Reason::EmailDomainRefused, message))
}

/// The part after the last `@`, in the form in which domains are compared.
fn read(text: &str) -> Result<String> {
    let text = text.rsplit('@').next().unwrap_or_default().trim();
    if text.is_empty() {
        return Err(Error::new(Kind::InvalidArgument, Reason::EmailDomainInvalid, "A domain is required."));
    }
    let invalid = || Error::invalid(Reason::EmailDomainInvalid, "domain", "value is not a valid domain name");
    // A domain that no address can have would exclude all users.
    Email::read(&format!("a@{text}")).map(|address| address.domain().to_owned()).map_err(|_| invalid())
}

fn not_found() -> Error {
    Error::not_found(Reason::EmailDomainNotFound, "Email domain not found.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_what_follows_the_last_at() {
        for (text, domain) in [
            ("example.com", "example.com"),
            (" Bob@Example.COM ", "example.com"),
            ("a@b@Example.com", "example.com"),
            ("@bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(read(text).unwrap(), domain, "{text}");
        }
    }

    #[test]
    fn invalid_domains_are_refused() {
        for text in [
            "",
            "  ",
            "bob@",
            "not a domain",
            "localhost",
            "*.example.com",
            "-a.com",
            "a..b",
            "a\0.com",
            "1.2.3.4",
            "example.123",
            "a\u{200b}.com",
            "\u{2422}.com",
        ] {
            assert_eq!(read(text).unwrap_err().reason, Reason::EmailDomainInvalid, "{text}");
        }
    }
}
