//! The native surface, `/registry/v1`: the registry itself, with an API that follows the AIPs.

mod database_service;
mod events;
mod tenant_service;

use transcoder::Service;

use self::{database_service::TenantDatabases, tenant_service::Tenants};
use super::{Deps, handlers::registry::v1 as handlers};

/// The services.
pub(super) fn services(deps: &Deps) -> Vec<Service> {
    vec![
        handlers::database_service::mount(TenantDatabases { deps: deps.clone() }),
        handlers::tenant_service::mount(Tenants { deps: deps.clone() }),
    ]
}
