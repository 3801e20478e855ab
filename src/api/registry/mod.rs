//! The native surface, `/registry/v1`: the registry itself, with an API that follows the AIPs.

mod database_service;
mod events;
mod operation_service;
mod rate_service;
mod tenant_service;

use transcoder::Service;

use self::{
    database_service::TenantDatabases, operation_service::Operations, rate_service::TenantPrices,
    tenant_service::Tenants,
};
use super::{Deps, handlers::registry::v1 as handlers};

/// The services.
pub(super) fn services(deps: &Deps) -> Vec<Service> {
    vec![
        handlers::tenant_service::mount(Tenants { deps: deps.clone() }),
        handlers::operation_service::mount(Operations { deps: deps.clone() }),
        handlers::rate_service::mount(TenantPrices { deps: deps.clone() }),
        handlers::database_service::mount(TenantDatabases { deps: deps.clone() }),
    ]
}
