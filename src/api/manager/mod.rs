//! The manager surface, a part of `/v1` (manager contract).

mod dialect;
mod tenant_service;

use transcoder::Service;

pub use self::dialect::ManagerDialect;
use self::tenant_service::Tenants;
use super::{Deps, handlers::manager::v1 as handlers};

pub(super) fn services(deps: &Deps) -> Vec<Service> {
    vec![handlers::tenant_service::mount(Tenants { deps: deps.clone() })]
}
