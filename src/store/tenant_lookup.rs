//! The proof that a call may access a tenant, from the result of a lookup.

use crate::base::{Access, Result, TenantId, TenantRef, TenantScope, scope::foreign_tenant};

/// Refuses a lookup that cannot lead to a tenant within the access.
pub fn may_look_up(access: &Access, reference: &TenantRef) -> Result<()> {
    match (access, reference) {
        (Access::Platform, _) => Ok(()),
        (Access::Tenant(own), reference) if own == reference => Ok(()),
        // Two different ids, or two different names, cannot be the same tenant.
        (Access::Tenant(TenantRef::Id(_)), TenantRef::Id(_)) => Err(foreign_tenant()),
        (Access::Tenant(TenantRef::Name(_)), TenantRef::Name(_)) => Err(foreign_tenant()),
        (Access::Tenant(_), _) => Ok(()),
        (Access::None, _) => Err(foreign_tenant()),
    }
}

/// The scope of a tenant found by its id and folded name. A tenant outside the access is reported as foreign whether it
/// exists or not; only a tenant within it can be missing.
pub fn reach(access: &Access, reference: &TenantRef, found: Option<(TenantId, &str)>) -> Result<Option<TenantScope>> {
    match (found, access) {
        (Some((id, key)), access) => TenantScope::grant(access, id, key).map(Some),
        (None, Access::Platform) => Ok(None),
        (None, Access::Tenant(own)) if is_own(own, reference) => Ok(None),
        (None, _) => Err(foreign_tenant()),
    }
}

/// Whether a reference can only mean the tenant of the access.
fn is_own(own: &TenantRef, reference: &TenantRef) -> bool {
    match (own, reference) {
        (TenantRef::Id(own), TenantRef::Either(id, _)) => own == id,
        (own, reference) => own == reference,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn name(name: &str) -> TenantRef {
        TenantRef::Name(name.to_owned())
    }

    #[test]
    fn a_missing_tenant_is_foreign_unless_the_access_names_it() {
        let own = Access::Tenant(name("acme"));
        assert!(reach(&own, &name("acme"), None).is_ok_and(|scope| scope.is_none()));
        assert!(reach(&own, &name("other"), None).is_err());
        assert!(reach(&own, &TenantRef::Id(id(7)), None).is_err());
        let own = Access::Tenant(TenantRef::Id(id(7)));
        assert!(reach(&own, &TenantRef::parse(&id(7).manager()), None).is_ok_and(|scope| scope.is_none()));
        assert!(reach(&own, &TenantRef::parse(&id(8).manager()), None).is_err());
        assert!(reach(&Access::Platform, &name("other"), None).is_ok_and(|scope| scope.is_none()));
        assert!(reach(&Access::None, &name("acme"), None).is_err());
    }

    #[test]
    fn an_existing_tenant_is_reached_by_id_and_by_name() {
        for access in [Access::Tenant(name("acme")), Access::Tenant(TenantRef::Id(id(7))), Access::Platform] {
            assert!(reach(&access, &name("acme"), Some((id(7), "acme"))).is_ok_and(|scope| scope.is_some()));
        }
        for access in [Access::Tenant(name("other")), Access::Tenant(TenantRef::Id(id(8))), Access::None] {
            assert!(reach(&access, &name("acme"), Some((id(7), "acme"))).is_err());
        }
    }

    #[test]
    fn lookups_that_must_fail_are_not_made() {
        assert!(may_look_up(&Access::None, &name("acme")).is_err());
        assert!(may_look_up(&Access::Tenant(name("acme")), &name("other")).is_err());
        assert!(may_look_up(&Access::Tenant(TenantRef::Id(id(7))), &TenantRef::Id(id(8))).is_err());
        assert!(may_look_up(&Access::Tenant(name("acme")), &TenantRef::Id(id(8))).is_ok());
        assert!(may_look_up(&Access::Tenant(TenantRef::Id(id(7))), &TenantRef::parse(&id(8).dashed())).is_ok());
    }
}
