//! What a subscriber is: a tenant of the registry with its plan.

use serde_json::{Map, Value};

use super::Plan;
use crate::{
    base::{Cx, Page, PageRequest, Result, TenantRef, TenantScope},
    store::{Store, scopes::ZeroTrustRow},
    tenants::{self, Status, Tenant},
};

/// A tenant with its plan. One that another surface made has no bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscriber {
    /// The tenant.
    pub tenant: Tenant,
    /// What it subscribed to.
    pub plan: Plan,
    /// Limits that differ from those of the plan, by their names.
    pub overrides: Map<String, Value>,
}

impl Subscriber {
    pub(super) fn of(tenant: Tenant, facet: Option<ZeroTrustRow>) -> Result<Self> {
        let (plan, overrides) = match facet {
            Some(facet) => (facet.plan.parse()?, facet.overrides),
            None => (Plan::default(), Map::new()),
        };
        Ok(Self { tenant, plan, overrides })
    }
}

/// A page of the tenants that a call may see, oldest first, those in their time of grace included: all of them for the
/// platform, its own for any other caller.
pub(super) async fn page(cx: &Cx, store: &Store, request: PageRequest) -> Result<Page<Subscriber>> {
    let found = match &cx.caller.tenant {
        None => tenants::page(cx, store, &Status::ALL, request).await?,
        Some(own) => {
            let (tenant, _) = tenants::resolve_any(cx, store, &TenantRef::Id(own.id)).await?;
            let after = request.after.is_some_and(|after| tenant.id.uuid() <= after);
            Page { items: if after { Vec::new() } else { vec![tenant] }, next: None, total: 1 }
        }
    };
    let scope = |tenant: &Tenant| TenantScope::grant(&cx.access, tenant.id, &tenant.name.key());
    let scopes = found.items.iter().map(scope).collect::<Result<Vec<_>>>()?;
    let mut facets = store.zerotrust_of(&scopes).await?;
    let of = |tenant: Tenant| {
        let facet = facets.remove(&tenant.id.uuid());
        Subscriber::of(tenant, facet)
    };
    let items = found.items.into_iter().map(of).collect::<Result<_>>()?;
    Ok(Page { items, next: found.next, total: found.total })
}
