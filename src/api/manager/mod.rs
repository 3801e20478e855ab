//! The manager surface, its parts of `/v1` (manager contract).

mod dialect;
mod tenant_service;

use std::sync::Arc;

use transcoder::{Dialect, Service};

use self::{dialect::ManagerDialect, tenant_service::Tenants};
use super::{Deps, handlers::manager::v1 as handlers};

/// The services.
pub(super) fn services(deps: &Deps) -> Vec<Service> {
    let deps = || deps.clone();
    vec![handlers::tenant_service::mount(Tenants { deps: deps() })]
}

/// The dialect, its name and the paths that it rules.
pub(super) fn dialect() -> (&'static str, &'static [&'static str], Arc<dyn Dialect>) {
    (ManagerDialect::NAME, ManagerDialect::PREFIXES, Arc::new(ManagerDialect))
}
