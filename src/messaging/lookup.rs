//! Tenant lookup for this surface: by name in its exact case, which other surfaces ignore, or by id (messaging
//! contract, section 13).

use crate::{
    base::{Cx, Error, Result, TenantName, TenantRef, TenantScope, error::Reason},
    store::{Store, Tx},
    tenants::{self, Tenant},
};

/// The tenant of a call, if its access includes it, and the proof.
pub async fn resolve(cx: &Cx, store: &Store, named: &str) -> Result<(Tenant, TenantScope)> {
    exact(tenants::resolve(cx, store, &TenantRef::parse(named)).await?, named)
}

/// Like [`resolve`] in a write; the tenant is locked until the write ends.
pub async fn resolve_locked(tx: &Tx, named: &str) -> Result<(Tenant, TenantScope)> {
    exact(tenants::resolve_locked(tx, &TenantRef::parse(named)).await?, named)
}

/// Whether a text is a valid reference to the tenant that was found by it. A name must match exactly, including case;
/// any other text is an id.
pub fn names(named: &str, tenant: &str) -> bool {
    named == tenant || !named.eq_ignore_ascii_case(tenant)
}

/// Whether any tenant could have this name or id: ids consist of characters of names.
pub fn is_possible(named: &str) -> bool {
    named.parse::<TenantName>().is_ok()
}

fn exact(found: (Tenant, TenantScope), named: &str) -> Result<(Tenant, TenantScope)> {
    if names(named, found.0.name.as_str()) {
        return Ok(found);
    }
    Err(Error::not_found(Reason::TenantNotFound, "tenant not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_case_sensitively() {
        assert!(names("acme", "acme"));
        assert!(!names("ACME", "acme") && !names("acme", "Acme"));
        assert!(names("t_0191f3a47c107b2e9d315a6b7c8d9e0f", "acme"));
    }
}
